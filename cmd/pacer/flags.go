package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/config"
)

// addOptions gives a command the flags of those configuration options that
// have one and that want selects, from the one table of options.
func addOptions(cmd *cobra.Command, want func(config.Option) bool) {
	for _, o := range config.Options() {
		if o.Flag == "" || !want(o) {
			continue
		}
		usage := o.Doc
		if o.Env != "" {
			usage += " (environment: " + o.Env + ")"
		}
		if o.Type == config.TypeSwitch {
			cmd.Flags().Bool(o.Flag, o.Default == "true", usage)
			continue
		}
		cmd.Flags().Var(&optionValue{kind: kindOf(o)}, o.Flag, usage)
		flag := cmd.Flags().Lookup(o.Flag)
		flag.DefValue = o.Default
		if o.Flag == "prune" { // --prune alone means on
			flag.NoOptDefVal = "on"
		}
	}
}

// optionValue is the value of an option as a flag gives it; the configuration
// parses it. Kind is what the help shows in its place.
type optionValue struct{ text, kind string }

func (v *optionValue) Set(text string) error { v.text = text; return nil }
func (v *optionValue) String() string        { return v.text }
func (v *optionValue) Type() string          { return v.kind }

// kindOf is what the help shows in place of the value of an option.
func kindOf(o config.Option) string {
	switch o.Type {
	case "text", "one or a list":
		return "string"
	case "{file} or {env}":
		return "file:PATH|env:NAME"
	case "names and values":
		return "NAME=VALUE"
	}
	return strings.ReplaceAll(o.Type, ", ", "|")
}

// givenOptions collects what flags and the environment say of the options that
// the command has flags for; flags go before the environment.
func givenOptions(cmd *cobra.Command) []config.Given {
	var given []config.Given
	for _, o := range config.Options() {
		flag := cmd.Flags().Lookup(o.Flag)
		if o.Flag == "" || flag == nil {
			continue
		}
		if flag.Changed {
			given = append(given, config.Given{Key: o.Key, Value: flag.Value.String(), Origin: "flag --" + o.Flag})
		} else if v := os.Getenv(o.Env); o.Env != "" && v != "" {
			given = append(given, config.Given{Key: o.Key, Value: v, Origin: "environment variable " + o.Env})
		} else if o.Key == "stateDir" {
			given = append(given, systemState(o)...)
		}
	}
	return given
}

// loadNoting loads a configuration file for a verb that a person calls, and warns of
// what the environment has changed in it.
func loadNoting(cmd *cobra.Command, file string) (*config.Config, error) {
	c, overridden, err := config.LoadNoting(file, givenOptions(cmd)...)
	for _, o := range overridden {
		printLine(cmd.ErrOrStderr(), "warning: %s", o)
	}
	return c, err
}

// systemState is the default of stateDir where the system has a folder for state:
// systemd names that of the unit, and the image its volume. What is in the file
// goes before.
func systemState(stateDir config.Option) []config.Given {
	const variable = "STATE_DIRECTORY"
	folder, _, _ := strings.Cut(os.Getenv(variable), ":") // systemd lists all that a unit has
	if folder == "" {
		return nil
	}
	return []config.Given{{
		Key: stateDir.Key, Value: filepath.Join(folder, stateDir.Default), Origin: "environment variable " + variable, Default: true,
	}}
}

// withSync selects the options of one sync; withServer those of a process that
// stays.
func withSync(o config.Option) bool {
	return !withServer(o) && o.Flag != "interval" && !strings.HasPrefix(o.Key, "log.")
}

func withServer(o config.Option) bool {
	return slices.Contains([]string{"listen", "stateDir", "advertise", "zookeeper.servers"}, o.Key)
}

// outputFlag adds -o with the formats that a verb can write.
func outputFlag(cmd *cobra.Command, into *string, formats ...string) {
	cmd.Flags().StringVarP(into, "output", "o", formats[0], "output format: "+strings.Join(formats, ", "))
	check := cmd.PreRunE
	cmd.PreRunE = func(c *cobra.Command, args []string) error {
		if !slices.Contains(formats, *into) {
			return fmt.Errorf("flag --output: %q: expected one of %s", *into, strings.Join(formats, ", "))
		}
		if check != nil {
			return check(c, args)
		}
		return nil
	}
}
