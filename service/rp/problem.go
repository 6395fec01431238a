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
	NotAllowed          ProblemKind = 11 // 405: another method
	TooSlow             ProblemKind = 12 // 408: the body did not arrive in time
	TooLarge            ProblemKind = 13 // 413: the body has too many bytes
	MediaType           ProblemKind = 14 // 415: the body is not JSON by its headers
	Busy                ProblemKind = 15 // 503: too much is going on
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
	switch {
	case p.Kind == NoSuitableAccount && v != V3:
		return 471
	case p.Kind == PersonShouldViewApp && v != V3:
		return 472
	}
	if status, ok := statuses[p.Kind]; ok {
		return status
	}
	return 500
}

var statuses = map[ProblemKind]int{
	Invalid: 400, Unauthorized: 401, Forbidden: 403, NotFound: 404, NoSuitableAccount: 404, PersonShouldViewApp: 404,
	NotAllowed: 405, TooSlow: 408, TooLarge: 413, MediaType: 415, TooManyRequests: 429, ClientTooOld: 480, Internal: 500,
	Busy: 503, Maintenance: 580,
}

// Title returns a few words for a status code.
func Title(status int) string {
	if t, ok := titles[status]; ok {
		return t
	}
	return "Internal Server Error"
}

var titles = map[int]string{
	400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
	408: "Request Timeout", 413: "Content Too Large", 415: "Unsupported Media Type", 429: "Too Many Requests", 503: "Service Unavailable",
	471: "No suitable account found", 472: "Person should view the app or the self-service portal", 480: "Client is too old", 580: "System is under maintenance",
}
