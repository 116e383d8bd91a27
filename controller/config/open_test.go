package config

import (
	"strings"
	"testing"
)

func TestCheckOpen(t *testing.T) {
	const ok = "marathon: {url: http://m:8080}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a}}\n"
	const page, ensemble = "web.tokens.act", "zookeeper.auth"
	for text, want := range map[string][]string{
		"":                            nil, // the default is this machine alone
		`listen: ""`:                  nil,
		"listen: 127.0.0.1:9090":      nil,
		"listen: localhost:1":         nil,
		`listen: "[::1]:9090"`:        nil,
		"listen: :9090":               {page},
		"listen: 0.0.0.0:9090":        {page},
		`listen: "[::]:9090"`:         {page},
		"listen: 10.0.0.7:9090":       {page},
		"listen: pacer.example.com:1": {page},
		"listen: :9090\nweb: {hosts: [pacer.example.com]}":                                                      {page},
		"listen: :9090\nweb: {tokens: {act: {env: A}}}":                                                         nil,
		"listen: :9090\nweb: {tokens: {read: {env: A}}}":                                                        nil,
		"zookeeper: {servers: [127.0.0.1:1, 'localhost:2', '[::1]:3', '::1']}":                                  nil,
		"zookeeper: {servers: zk1}":                                                                             {ensemble},
		"zookeeper: {servers: [127.0.0.1:1, 10.0.0.7:2181]}":                                                    {ensemble},
		"zookeeper: {servers: zk1, auth: {user: u, password: {file: /f}}}":                                      nil,
		"zookeeper: {servers: zk1, auth: {certificate: true}, tls: {enabled: true, certFile: /c, keyFile: /k}}": nil,
		"zookeeper: {servers: zk1, tls: {enabled: true}}\nlisten: :1":                                           {page, ensemble},
	} {
		c, err := load(t, ok+text)
		if err != nil {
			t.Fatal(err)
		}
		err = c.CheckOpen()
		if (err != nil) != (len(want) > 0) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
		for _, remedy := range want {
			for _, says := range []string{remedy, "--insecure-open"} {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %v: want %s", text, err, says)
				}
			}
		}
	}
}
