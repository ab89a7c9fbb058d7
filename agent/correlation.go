package agent

import (
	"crypto/rand"
	"fmt"

	"github.com/gin-gonic/gin"
)

const (
	correlationHeader = "X-Correlation-ID"
	correlationKey    = "correlation_id"
	maxCorrelation    = 64
)

// correlate gives every response the id its caller sent, or a new one where
// the sent one could not be trusted in a log line.
func correlate(c *gin.Context) {
	id := c.GetHeader(correlationHeader)
	if !correlationOK(id) {
		id = newUUID()
	}
	c.Set(correlationKey, id)
	c.Header(correlationHeader, id)
}

func correlation(c *gin.Context) string { return c.GetString(correlationKey) }

// correlationOK accepts 1 to 64 letters, digits and hyphens; a UUID is one case.
func correlationOK(id string) bool {
	if id == "" || len(id) > maxCorrelation {
		return false
	}
	for i := range len(id) {
		b := id[i]
		if !(b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '-') {
			return false
		}
	}
	return true
}

// newUUID makes a random (version 4) UUID.
func newUUID() string {
	var u [16]byte
	rand.Read(u[:]) // never fails: crypto/rand ends the program rather than return an error
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
