package status

import (
	"encoding/json"
	"fmt"
)

// The count that is desired was called wanted in the release before. For one release
// more both keys are written, and either is read: pacer status may be older or newer
// than the Pacer that it asks.

// MarshalJSON writes both keys. It is called for each app of a status.
func (i Instances) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"desired":%[1]d,"wanted":%[1]d,"target":%d,"running":%d,"healthy":%d,"checked":%t}`,
		i.Desired, i.Target, i.Running, i.Healthy, i.Checked), nil
}

// UnmarshalJSON reads the count that is desired by either key.
func (i *Instances) UnmarshalJSON(data []byte) error {
	type plain Instances
	read := struct {
		*plain
		Wanted *int `json:"wanted"`
	}{plain: (*plain)(i)}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	if i.Desired == 0 && read.Wanted != nil {
		i.Desired = *read.Wanted
	}
	return nil
}
