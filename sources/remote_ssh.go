package sources

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sshSession is git-upload-pack at the other end of an ssh connection.
//
// It stands in for go-git's own, which takes no context while it connects: a
// server that accepts and then says nothing holds it for ever. It also reads
// no ~/.ssh/config, so that a source means the same for every user.
type sshSession struct {
	conn   net.Conn
	client *ssh.Client
	stop   func() bool // ends the watch on the context

	stdin  io.WriteCloser
	stdout io.Reader
	stderr *boundedBuffer
	ended  func() error // waits for the end of what runs there, and all that it says
}

func dialSSH(ctx context.Context, u *url.URL, a Auth) (remote, []string, error) {
	name := u.Redacted()
	config, secrets, err := sshConfig(u, a)
	if err != nil {
		return nil, secrets, fmt.Errorf("%s: %w", name, err)
	}
	tell := func(err error) error { return describeSSH(name, err) }
	s, err := connectSSH(ctx, sshAddress(u), config)
	if err == nil {
		err = s.start(u.Path)
	}
	if err != nil {
		return nil, secrets, tell(cmp.Or(context.Cause(ctx), err))
	}
	return &packRemote{session: s, tell: tell}, secrets, nil
}

func sshAddress(u *url.URL) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "22"))
}

func sshConfig(u *url.URL, a Auth) (*ssh.ClientConfig, []string, error) {
	config := &ssh.ClientConfig{User: "git"}
	if u.User != nil {
		config.User = u.User.Username()
	}
	if err := trustKnownHosts(config, a.KnownHosts, sshAddress(u)); err != nil {
		return nil, nil, err
	}
	method, secrets, err := sshCredentials(a)
	if err != nil {
		return nil, secrets, err
	}
	config.Auth = []ssh.AuthMethod{method}
	return config, secrets, nil
}

func trustKnownHosts(config *ssh.ClientConfig, file, address string) error {
	files := []string{file}
	if file == "" {
		files = []string{"/etc/ssh/ssh_known_hosts"}
		if home, err := os.UserHomeDir(); err == nil {
			files = append(files, filepath.Join(home, ".ssh", "known_hosts"))
		}
	}
	db, err := gitssh.NewKnownHostsDb(files...)
	if err != nil {
		return fmt.Errorf("%w: cannot read known_hosts from %s: create it with ssh-keyscan HOST, after comparing the fingerprint: %w",
			ErrHostKey, strings.Join(files, " or "), err)
	}
	config.HostKeyCallback = db.HostKeyCallback()
	config.HostKeyAlgorithms = db.HostKeyAlgorithms(address)
	return nil
}

func sshCredentials(a Auth) (ssh.AuthMethod, []string, error) {
	if !a.Key.IsSet() {
		method, err := agentKeys()
		return method, nil, err
	}
	key, err := a.Key.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("auth: key: %w", err)
	}
	passphrase, err := a.Passphrase.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("auth: passphrase: %w", err)
	}
	secrets := []string{key, passphrase}
	// Reading a key from a file takes off the line break that ends it.
	signer, err := parseKey([]byte(key+"\n"), passphrase)
	if err != nil {
		return nil, secrets, fmt.Errorf("auth: cannot read the ssh key: check the file and its passphrase (auth.passphrase, or --git-passphrase): %w", err)
	}
	return ssh.PublicKeys(signer), secrets, nil
}

func parseKey(pem []byte, passphrase string) (ssh.Signer, error) {
	if passphrase == "" {
		return ssh.ParsePrivateKey(pem)
	}
	return ssh.ParsePrivateKeyWithPassphrase(pem, []byte(passphrase))
}

// agentKeys asks the user's ssh agent, each time it is needed.
func agentKeys() (ssh.AuthMethod, error) {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, fmt.Errorf("%w: no ssh key: set auth.key, or start an ssh agent (SSH_AUTH_SOCK is not set)", ErrAuth)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("%w: the ssh agent does not answer: %w", ErrAuth, err)
	}
	defer conn.Close() //nolint:errcheck // only read
	keys, err := agent.NewClient(conn).List()
	if err != nil {
		return nil, fmt.Errorf("%w: the ssh agent lists no keys: %w", ErrAuth, err)
	}
	signers := make([]ssh.Signer, 0, len(keys))
	for _, key := range keys {
		signers = append(signers, &agentSigner{socket: socket, key: key})
	}
	return ssh.PublicKeys(signers...), nil
}

// agentSigner opens the agent for one signature, so that no connection needs an owner.
type agentSigner struct {
	socket string
	key    ssh.PublicKey
}

func (s *agentSigner) PublicKey() ssh.PublicKey { return s.key }

func (s *agentSigner) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(nil, data, "")
}

// SignWithAlgorithm lets RSA keys sign with SHA-2, as servers demand.
func (s *agentSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	conn, err := net.Dial("unix", s.socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // only read
	var flags agent.SignatureFlags
	switch algorithm {
	case ssh.KeyAlgoRSASHA256:
		flags = agent.SignatureFlagRsaSha256
	case ssh.KeyAlgoRSASHA512:
		flags = agent.SignatureFlagRsaSha512
	}
	return agent.NewClient(conn).SignWithFlags(s.key, data, flags)
}

// connectSSH connects; from then on the end of ctx closes the connection,
// whatever waits for it.
func connectSSH(ctx context.Context, address string, config *ssh.ClientConfig) (*sshSession, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &sshSession{conn: conn, stderr: &boundedBuffer{}}
	s.stop = context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // what waits for it tells
	c, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.client = ssh.NewClient(c, channels, requests)
	return s, nil
}

// start runs git-upload-pack on the server.
func (s *sshSession) start(path string) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	session, err := s.client.NewSession()
	if err != nil {
		return err
	}
	if s.stdin, err = session.StdinPipe(); err != nil {
		return err
	}
	if s.stdout, err = session.StdoutPipe(); err != nil {
		return err
	}
	session.Stderr, s.ended = s.stderr, session.Wait
	// What git itself sends; the quotes are for the server's shell.
	quoted := "'" + strings.NewReplacer(`'`, `'\''`, `!`, `'\!'`).Replace(path) + "'"
	return session.Start(transport.UploadPackServiceName + " " + quoted)
}

// Close ends the connection and all that runs on it.
func (s *sshSession) Close() error {
	s.stop()
	var err error
	if s.client != nil {
		err = s.client.Close()
	} else {
		err = s.conn.Close()
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (s *sshSession) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	adv := packp.NewAdvRefs()
	opening := newBeginning()
	err := adv.Decode(io.TeeReader(io.LimitReader(s.stdout, maxAdvertBytes), opening))
	unreadable := readableAdvert(opening.text)
	var refusal *pktline.ErrorLine
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case unreadable != nil:
		return nil, unreadable
	case errors.Is(err, packp.ErrEmptyAdvRefs), err == nil && adv.IsEmpty():
		return nil, transport.ErrEmptyRemoteRepository
	case errors.As(err, &refusal):
		return nil, serverSays(refusal.Text)
	case errors.Is(err, packp.ErrEmptyInput):
		_ = s.ended() // what it says comes by a way of its own, and may come later
		return nil, serverSays(s.stderr.String())
	case err != nil:
		return nil, err
	}
	// Go-git speaks neither of these.
	adv.Capabilities.Delete(capability.MultiACK)
	adv.Capabilities.Delete(capability.MultiACKDetailed)
	return adv, nil
}

// serverSays makes an error of what a server said instead of an answer.
func serverSays(text string) error {
	text = strings.TrimSpace(text)
	lower := strings.ToLower(text)
	for _, sign := range []string{"does not appear to be a git repository", "not found", "no such", "does not exist", "could not be found"} {
		if strings.Contains(lower, sign) {
			return transport.ErrRepositoryNotFound
		}
	}
	if text == "" {
		return errors.New("the server closed the connection without an answer: check that it serves git")
	}
	return fmt.Errorf("the server answers: %q", text)
}

func (s *sshSession) UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	err := errors.Join(
		req.UploadRequest.Encode(s.stdin),
		req.UploadHaves.Encode(s.stdin, true),
		pktline.NewEncoder(s.stdin).Encodef("done\n"),
	)
	response := packp.NewUploadPackResponse(req)
	if err == nil {
		before := newPreamble(s.stdout)
		err = response.Decode(io.NopCloser(before))
		before.ended = true
	}
	if err != nil {
		return nil, cmp.Or(context.Cause(ctx), err)
	}
	return response, nil
}

// boundedBuffer keeps the beginning of what a server says beside the protocol.
type boundedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p[:min(len(p), max(0, 1000-b.text.Len()))])
	return len(p), nil
}

func (b *boundedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func describeSSH(name string, err error) error {
	var key *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		return fmt.Errorf("%w: %s presents a key that known_hosts revokes: do not use this server: %w", ErrHostKey, name, err)
	case errors.As(err, &key) && len(key.Want) > 0:
		return fmt.Errorf("%w: %s presents another key than known_hosts has (line %d of %s): either someone intercepts the connection, or the server's key was changed: compare fingerprints and correct that line: %w",
			ErrHostKey, name, key.Want[0].Line, key.Want[0].Filename, err)
	case errors.As(err, &key):
		return fmt.Errorf("%w: %s is not in known_hosts: add it with ssh-keyscan, after comparing the fingerprint: %w", ErrHostKey, name, err)
	case err != nil && strings.Contains(err.Error(), "unable to authenticate"):
		return fmt.Errorf("%w for %s: check the source's auth (key, or --git-key): the server accepts none of the ssh keys for this user: %w", ErrAuth, name, err)
	}
	return describeAny(name, err)
}
