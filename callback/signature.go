package callback

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// sign makes the value of SignatureHeader: t=<Unix seconds>,v1=<hex>, where v1 is HMAC-SHA256 over
// t + "." + epoch + "." + body. The time bounds for how long a copy of the call is of use to somebody else, the epoch
// binds the header beside it.
func sign(secret []byte, now time.Time, epoch string, body []byte) string {
	t := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "." + epoch + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
