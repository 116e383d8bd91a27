package config

import (
	"os"
	"strings"
	"testing"
)

func TestAdvertised(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		listen, advertise string
		env               map[string]string
		want              string
	}{
		{listen: ":9090", want: "http://" + host + ":9090"},
		{listen: "0.0.0.0:9090", want: "http://" + host + ":9090"},
		{listen: "[::]:9090", want: "http://" + host + ":9090"},
		{listen: "10.0.0.7:9090", want: "http://10.0.0.7:9090"},
		{listen: ":9090", advertise: "https://pacer", want: "https://pacer"},
		{listen: "", want: ""},
		{listen: ":9090", env: map[string]string{"MARATHON_APP_ID": "/ops/pacer", "HOST": "agent-3", "PORT0": "31007"}, want: "http://agent-3:31007"},
		{listen: ":9090", env: map[string]string{"HOST": "shell", "PORT0": "1"}, want: "http://" + host + ":9090"},
	} {
		t.Run(c.want, func(t *testing.T) {
			for _, name := range []string{"MARATHON_APP_ID", "HOST", "PORT0"} {
				t.Setenv(name, c.env[name])
			}
			if got := (&Config{Listen: c.listen, Advertise: c.advertise}).Advertised(); got != c.want {
				t.Errorf("%+v: %q, want %q", c, got, c.want)
			}
		})
	}
}

func TestPageNames(t *testing.T) {
	several := ZooKeeper{Servers: List{"127.0.0.1:2181"}}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Listen: "0.0.0.0:9090"}, ""},
		{Config{Listen: "127.0.0.1:9090", Advertise: "https://Pacer.example:8443"}, "Pacer.example"},
		{Config{Listen: "10.0.0.7:9090", Web: Web{Hosts: List{"a", "b"}}, ZooKeeper: several}, "a b 10.0.0.7"},
	} {
		if got := strings.Join(c.config.PageNames(), " "); got != c.want {
			t.Errorf("%+v: %q, want %q", c.config, got, c.want)
		}
	}
}
