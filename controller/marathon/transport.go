package marathon

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

// newTransport is the transport of one client.
func newTransport(o Options) (*http.Transport, error) {
	c, err := o.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("marathon tls: %w", err)
	}
	if o.TLS.Insecure {
		o.Log.Warn("certificates of Marathon are not verified: anybody on the way can read and change what is sent")
	}
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: o.DialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       c,
		TLSHandshakeTimeout:   10 * time.Second,
		MaxConnsPerHost:       32, // of the 64 that a standby lets through
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       60 * time.Second,
		ResponseHeaderTimeout: o.Timeout,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // Client.body decompresses, and sees how much came
	}, nil
}
