//go:build !unix

package marathon

// Write asks the lease right before it writes.
func (c *fencedConn) Write(p []byte) (int, error) {
	if err := c.of.lease.Err(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
