package zookeeper

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
)

// MAC returns a code of a message that only who knows the session's user and
// password can make, by HMAC-SHA-256 with a key of its own for each use; nil where
// there is no password (no auth, or a certificate).
func (c *Conn) MAC(use string, message []byte) []byte {
	if c.secret == nil {
		return nil
	}
	key, err := hkdf.Key(sha256.New, c.secret, nil, "pacer: "+use, sha256.Size)
	if err != nil {
		panic("zookeeper: " + err.Error()) // only of a key that is too long
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(message)
	return mac.Sum(nil)
}

// HasAuth reports whether the nodes belong to anybody.
func (c *Conn) HasAuth() bool { return c.config.Auth.IsSet() }
