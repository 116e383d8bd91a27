package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/manifests"
)

func newExplain() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "explain [FIELD]",
		Short: "Describe a manifest field",
		Example: `  pacer explain cpus
  pacer explain container.docker.image
  pacer explain pod.containers.resources.cpus`,
		Long: `Shows the type, default and range of a field, and the effect of a change on tasks.

FIELD is a path as in a manifest or in a message: cpus, container.docker.image,
/healthChecks(0)/path, pod.containers.resources.cpus. Without a kind in front, an
app's field is searched first. Without FIELD, all fields are listed.`,
		Args: atMost(1, "explain container.docker.image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listFields(cmd.OutOrStdout(), output)
			}
			d, err := manifests.Explain(args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), d)
			}
			return explain(cmd.OutOrStdout(), d)
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// explain prints what there is to say of a field, and a line for each of its
// members.
func explain(w io.Writer, d manifests.FieldDoc) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%s\n%s\n\n", d.Path, d.Doc)
	for _, row := range [][2]string{
		{"type", d.Type},
		{"unit", d.Unit},
		{"required", whether(d.Required, "yes")},
		{"computed", whether(d.Computed, "by Marathon; ignored in a manifest")},
		{"default", d.Default},
		{"range", d.Range()},
		{"pattern", d.Pattern},
		{"since", sinceWords(d)},
		{"effect", d.Effect},
		{"old form of", d.Replaced},
	} {
		if row[1] != "" {
			fmt.Fprintf(table, "  %s\t%s\n", row[0], row[1])
		}
	}
	members := membersOf(d)
	if len(members) > 0 {
		fmt.Fprintln(table, "\nmembers")
	}
	for _, m := range members {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", m.Path[strings.LastIndexByte(m.Path, '.')+1:], m.Type, m.Doc)
	}
	return table.Flush()
}

func whether(is bool, words string) string {
	if is {
		return words
	}
	return ""
}

func sinceWords(d manifests.FieldDoc) string {
	if d.Since == "" {
		return "every Marathon that Pacer supports"
	}
	return "Marathon " + d.Since
}

// membersOf are the fields right inside a field.
func membersOf(d manifests.FieldDoc) []manifests.FieldDoc {
	var members []manifests.FieldDoc
	for m := range manifests.AllFields() {
		if name, inside := strings.CutPrefix(m.Path, d.Path+"."); inside && !strings.Contains(name, ".") {
			members = append(members, m)
		}
	}
	return members
}

// listFields prints the table of all fields.
func listFields(w io.Writer, output string) error {
	if output == "json" {
		return printJSON(w, slices.Collect(manifests.AllFields()))
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FIELD\tTYPE\tUNIT\tSINCE\tOLD FORM OF\tDEFAULT")
	for d := range manifests.AllFields() {
		fmt.Fprintln(table, strings.Join([]string{d.Path, d.Type, d.Unit, d.Since, d.Replaced, d.Default}, "\t"))
	}
	return table.Flush()
}
