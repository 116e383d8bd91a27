package marathon

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"
)

// warnOfProxies says where something stands between that a reset does not reach
// beyond: it may hold what a lease let out for longer than the lease.
func warnOfProxies(log *slog.Logger, bases []*url.URL, proxy func(*http.Request) (*url.URL, error)) {
	for _, base := range bases {
		if between, err := proxy(&http.Request{URL: base}); err == nil && between != nil {
			log.Warn("writes to Marathon go through a proxy, which may deliver them after another replica has become the leader: add the host to NO_PROXY",
				"marathon", base.Host, "proxy", between.Host)
		}
	}
}

// newTransport is the transport of one client.
func newTransport(o Options) (*http.Transport, error) {
	c, err := o.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("marathon tls: %w", err)
	}
	if o.TLS.Insecure {
		o.Log.Warn("Marathon's certificates are not verified: anyone in between can read and change the traffic")
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
