package rp

// ProblemKind is why a request gets no session.
type ProblemKind uint8

const (
	Invalid             ProblemKind = 1  // 400
	Unauthorized        ProblemKind = 2  // 401: UUID or address unknown
	Forbidden           ProblemKind = 3  // 403: the relying party may not do this
	NotFound            ProblemKind = 4  // 404: no account, no session
	NoSuitableAccount   ProblemKind = 5  // accounts, but none of the level; 471 in version 2
	PersonShouldViewApp ProblemKind = 6  // 472 in version 2, 404 in version 3
	ClientTooOld        ProblemKind = 7  // 480
	TooManyRequests     ProblemKind = 8  // 429
	Maintenance         ProblemKind = 9  // 580
	Internal            ProblemKind = 10 // 500
)

// Problem is the answer in place of a session. It is shown to the relying party, so it
// has nothing that this does not know.
type Problem struct {
	Kind    ProblemKind
	Pointer string // JSON pointer to what is wrong in the body (RFC 6901); empty if nothing is
	Detail  string
}

func (p *Problem) Error() string {
	if p == nil {
		return "rp: nil Problem"
	}
	s := "rp: " + p.Detail
	if p.Pointer != "" {
		s = "rp: " + p.Pointer + " " + p.Detail
	}
	return s
}

// Status returns the HTTP status code of a version.
func (p *Problem) Status(v Version) int {
	if p == nil {
		return 500
	}
	switch p.Kind {
	case Invalid:
		return 400
	case Unauthorized:
		return 401
	case Forbidden:
		return 403
	case NotFound:
		return 404
	case NoSuitableAccount:
		if v == V3 {
			return 404
		}
		return 471
	case PersonShouldViewApp:
		if v == V3 {
			return 404
		}
		return 472
	case ClientTooOld:
		return 480
	case TooManyRequests:
		return 429
	case Maintenance:
		return 580
	}
	return 500
}

// Title returns a few words for a status code.
func Title(status int) string {
	if t, ok := titles[status]; ok {
		return t
	}
	return "Internal Server Error"
}

var titles = map[int]string{
	400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests",
	471: "No suitable account found", 472: "Person should view the app or the self-service portal", 480: "Client is too old", 580: "System is under maintenance",
}
