package manifests

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// HashApp names the content of an app in normal form: equal hashes, equal apps.
func HashApp(a *App) string { return hashOf(a) }

// HashPod does for a pod what HashApp does for an app.
func HashPod(p *Pod) string { return hashOf(p) }

func hashOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		// Only a NaN or an infinity could be the reason, which no decoded JSON has.
		panic("manifests: hash: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
