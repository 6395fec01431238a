package protocol

import "crypto/sha256"

const (
	// MaxRequest is the longest request in bytes: of 64 documents for a client key of
	// 4096 bits. One document takes 2 KiB. A transport may refuse more.
	MaxRequest = 128 << 10
	// MaxResponse is the longest response in bytes.
	MaxResponse = 128 << 10
)

// ChallengeSize is the length of every challenge in bytes.
const ChallengeSize = 2 + KeyIDSize + 8 + 8 + 16 + 3*sha256.Size

// MaxDocuments is how many digests one request may sign.
const MaxDocuments = 64
