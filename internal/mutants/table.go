package main

import "slices"

const (
	inSplitkey    = "./splitkey"
	inModexp      = "./internal/modexp"
	inDeal        = "./splitkey/internal/deal"
	inPrime       = "./splitkey/internal/prime"
	inEmsa        = "./splitkey/internal/emsa"
	inPinlock     = "./pinlock"
	inLimiter     = "./pinlock/limiter"
	inProtocol    = "./protocol"
	inWire        = "./protocol/internal/wire"
	inDevice      = "./protocol/device"
	inServer      = "./protocol/server"
	inSecret      = "./internal/secret"
	inDurable     = "./internal/durable"
	inKeystock    = "./internal/keystock"
	inHandler     = "./protocol/httphandler"
	inMetrics     = "./service/metrics"
	inTransport   = "./protocol/httptransport"
	inBolt        = "./service/stores/bolt"
	inEtcd        = "./service/stores/etcd"
	inPostgres    = "./service/stores/postgres"
	inPgsafe      = "./service/internal/pgsafe"
	inWatermark   = "./service/stores/watermark"
	inTokenKeeper = "./service/stores/watermark/tokenkeeper"
	inCommand     = "./service/cmd/tandem"

	completes = "TestVectorsComplete"
	splits    = "TestVectorsSplit"
	encodes   = "TestVectorsEncode"
	partials  = "TestVectorsPartial"
	lockboxes = "TestVectorsLockbox"
	limits    = "TestVectorsLimiter"
	pins      = "TestVectorsWeakPINs"
)

// One table for each package that is broken.
var mutants = slices.Concat(splitkeyMutants, pinlockMutants, limiterMutants, protocolMutants, storeMutants, postgresMutants, commandMutants, signerMutants, agentMutants, serviceMutants, accountMutants, sessionMutants, httpMutants, hsmMutants, rphttpMutants, nodeMutants, mobileMutants, modexpMutants, pageMutants, pushMutants)
