package marathon

import (
	"fmt"
	"net/http"

	"github.com/pacer-gitops/pacer/meter"
)

// ErrTooLarge is an answer that is refused since it is, or expands to, more than
// any Marathon has to tell. Nothing of it is taken for what Marathon holds.
var ErrTooLarge = meter.ErrTooLarge

// maxErrorBytes is how much is read of an answer that is no success: its words,
// complaints and locks.
const maxErrorBytes = 4 << 20

// body is an answer, decompressed and metered.
func (c *Client) body(resp *http.Response) (*meter.Reader, error) {
	switch encoding := resp.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return meter.NewReader(resp.Body, c.options.MaxBody, nil), nil
	case "gzip":
		return meter.Gunzip(resp.Body, c.options.MaxBody)
	default:
		return nil, fmt.Errorf("it is encoded as %q, which was not requested", oneLine(encoding))
	}
}
