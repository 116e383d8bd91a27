package leader

import (
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-zookeeper/zk"
)

// Trust is how far the address in the node of a candidate is believed. Whoever
// may make nodes in line can put any address into one, and give it any ACL,
// Pacer's own as well: what stands there needs a proof before a caller's token is
// sent to it.
//
//	zookeeper auth      node in line                                              trust
//	none                any                                                       Unprovable
//	user and password   ends with its session; its proof is of that session, the  Proved
//	                    address and the password
//	user and password   anything else: forged, copied, or of an older Pacer       Unproved
//	certificate         ends with its session; nobody but the certificate's       Proved
//	                    subject may change root, line and node
//	certificate         anything else                                             Unproved
type Trust int

// What is known of an address.
const (
	Unproved   Trust = iota // it may be anybody's
	Unprovable              // nothing proves any
	Proved                  // a replica with the same credential has given it
)

// identity is what a candidate's nodes hold. A Pacer that knows no proof reads the
// address alone, and gives no other.
type identity struct {
	Address string `json:"address"`
	Proof   []byte `json:"proof,omitempty"`
}

// maxAddress is how many bytes of an address are believed to be one.
const maxAddress = 2048

// identityOf reads a node; name is for errors.
func identityOf(data []byte, name string) (who identity, err error) {
	if err := json.Unmarshal(data, &who); err != nil {
		return who, fmt.Errorf("node %s: %w", name, err)
	}
	if len(who.Address) > maxAddress {
		return who, fmt.Errorf("node %s: an address of %d bytes: expected at most %d", name, len(who.Address), maxAddress)
	}
	return who, nil
}

// prove is the proof that a session of someone who knows the password gives an
// address; nil: there is no password. The session, which ZooKeeper tells with a
// node, keeps it from being of use in the node of another one.
func (s *session) prove(owner int64, id, address string) []byte {
	text, _ := json.Marshal([]string{s.Root(), fmt.Sprintf("%016x", owner), id, address}) // strings can be written
	return s.MAC("the address of a candidate", text)
}

// trust tells how far a node in line is believed.
func (s *session) trust(node string, owner int64, who identity) (Trust, error) {
	m := candidate.FindStringSubmatch(node)
	switch {
	case !s.HasAuth():
		return Unprovable, nil
	case m == nil || owner == 0:
		return Unproved, nil
	}
	if proof := s.prove(owner, m[1], who.Address); proof != nil {
		if hmac.Equal(proof, who.Proof) {
			return Proved, nil
		}
		return Unproved, nil
	}
	return s.onlyOurs(s.Root(), s.Path(""), s.Path(node))
}

// onlyOurs proves nodes by their ACLs: nobody else may make, change or delete
// them. Who we are is told by a node of our own, since only the server knows what
// it takes a certificate's subject for.
func (s *session) onlyOurs(nodes ...string) (Trust, error) {
	own := s.own.Load()
	if own == nil {
		return Unproved, nil
	}
	ours, _, err := s.GetACL(*own)
	if err != nil {
		return Unproved, err
	}
	for _, node := range nodes {
		acl, _, err := s.GetACL(node)
		if err != nil {
			return Unproved, goneOr(err)
		}
		if slices.ContainsFunc(acl, func(a zk.ACL) bool { return a.Perms&^zk.PermRead != 0 && !isOf(a, ours) }) {
			return Unproved, nil
		}
	}
	return Proved, nil
}

func isOf(a zk.ACL, ours []zk.ACL) bool {
	return slices.ContainsFunc(ours, func(o zk.ACL) bool { return o.Scheme == "x509" && o.Scheme == a.Scheme && o.ID == a.ID })
}
