package config

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/invopop/jsonschema"
)

const schemaFile = "../../docs/config.schema.json"

// TestSchemaFile keeps the JSON schema of the configuration file, for editors.
func TestSchemaFile(t *testing.T) {
	r := jsonschema.Reflector{FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, ExpandedStruct: true, Anonymous: true, Mapper: schemaOf}
	s := r.Reflect(&Config{})
	s.Title = "Pacer's configuration"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, schemaFile, string(text)+"\n")
}

// schemaOf describes the forms of what reads itself; nil: of all else.
func schemaOf(t reflect.Type) *jsonschema.Schema {
	text := &jsonschema.Schema{Type: "string"}
	object := func(kind string, keys ...string) *jsonschema.Schema {
		properties := jsonschema.NewProperties()
		for _, key := range keys {
			properties.Set(key, &jsonschema.Schema{Type: kind})
		}
		return &jsonschema.Schema{Type: "object", Properties: properties, Required: keys, AdditionalProperties: jsonschema.FalseSchema}
	}
	switch t {
	case reflect.TypeFor[Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`}
	case reflect.TypeFor[List]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{text, {Type: "array", Items: text}}}
	case reflect.TypeFor[Secret]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			object("string", "file"), object("string", "env"), {Type: "string", Pattern: "^(file|env):.+"},
		}}
	case reflect.TypeFor[Instances]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			{Type: "string", Enum: []any{"git", "live"}}, object("integer", "min", "max"),
		}}
	}
	return nil
}
