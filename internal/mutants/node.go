package main

const (
	inNode      = "./service/node"
	inHSMSigner = "./service/ca/hsmsigner"
)

// nodeMutants are faults of the service as one process.
var nodeMutants = []mutant{
	{"node: test identities in production", "service/node/config.go", "case c.Production && c.TestIdentities != nil:", "case c.Production && c.TestIdentities != nil && c.DB == nil:", inNode, "TestProduction"},
	{"node: a CA for tests in production", "service/node/config.go", "case c.Production && test:", `case c.Production && test && name == "":`, inNode, "TestProduction"},
	{"node: a real CA in a trial", "service/node/config.go", "case !c.Production && !test:", `case !c.Production && !test && name == "":`, inNode, "TestProduction"},
	{"node: ready while it is stopped", "service/node/handler.go", "if n.draining.Load() {", "if n.draining.Load() && n.server == nil {", inNode, "TestReady"},
	{"node: ready without the database", "service/node/handler.go", "	if err == nil {\n		err = db\n	}\n", "", inNode, "TestReady"},
	{"node: ready without the CA's token", "service/node/handler.go", "			all = append(all, p.Ping(ctx))\n", "			_ = p\n", inNode, "TestReady"},
	{"node: ready without the store", "service/node/handler.go", "	n.metrics.pinged(err)\n", "	n.metrics.pinged(err)\n	err = nil\n", inNode, "TestReady"},
	{"node: a node that ends calls its parts down", "service/node/handler.go", "if parent.Err() != nil && n.problem.Load() != nil {", "if parent.Err() != nil && n.problem.Load() == nil {", inNode, "TestCutOffLook"},
	{"node: one slash where clients send two", "service/node/handler.go", `case under("/"+strings.TrimLeft(path, "/"), rpPath):`, "case under(path, rpPath):", inNode, "TestPaths"},
	{"serve: make in production what is missing", "service/cmd/tandem/servefolder.go", "	if config.production() {\n		for", "	if config.production() && c == nil {\n		for", inCommand, "TestServiceConfig"},
	{"serve: a secret that others may read", "service/cmd/tandem/servefolder.go", "	if err := checkSecret(name); err != nil {\n		return nil, err\n	}\n	text", "	text", inCommand, "TestServiceSecret"},
	{"serve: a file that does not say what it is", "service/cmd/tandem/serveconfig.go", "if config.Production == nil {", "if config.Production == nil && len(text) == 0 {", inCommand, "TestServiceConfig"},
	{"serve: production with test identities", "service/cmd/tandem/serveconfig.go", "case c.production() && c.TestIdentities != nil:", "case c.production() && c.TestIdentities != nil && c.URL == c.Server:", inCommand, "TestServiceConfig"},
	{"serve: production under any address", "service/cmd/tandem/serveconfig.go", `(c.URL == "" || c.CA.Profile == nil)`, `(c.URL == "" && c.CA.Profile != nil)`, inCommand, "TestServiceConfig"},
	{"serve: plain HTTP to everybody", "service/cmd/tandem/serveconfig.go", "case c.TLS == nil && !onLoopback(c.Listen):", `case c.TLS == nil && c.Listen == "":`, inCommand, "TestServiceConfig"},
	{"serve: metrics for everybody", "service/cmd/tandem/serveconfig.go", "case c.Metrics != off && !onLoopback(c.Metrics):", `case c.Metrics == "":`, inCommand, "TestServiceConfig"},
	{"serve: a relying party that is there is to be added", "service/cmd/tandem/servefirst.go", "	if !party {\n", "	if !party || account {\n", inCommand, "TestFirstLogin"},
	{"serve: a phone for a person who answers by itself", "service/cmd/tandem/servefirst.go", "	if itself {\n		fmt.", "	if itself && !party {\n		fmt.", inCommand, "TestFirstLogin"},
	{"no record of what becomes of a token", "service/cmd/tandem/hsm.go", ", Logger: log,\n", ",\n", inCommand, "TestHSM|TestMarkInToken|TestServiceRealParts"},
	{"begin the log of events for a token", "service/cmd/tandem/laterlog.go", "if _, err := os.Stat(l.name); errors.Is(err, fs.ErrNotExist) {", "if _, err := os.Stat(l.name); errors.Is(err, fs.ErrExist) {", inCommand, "TestHSM|TestMarkInToken"},
	{"tandem ca: one for tests in production", "service/cmd/tandem/ca.go", "case test && !trial:", `case test && !trial && flag == "":`, inCommand, "TestCARefuses"},
	{"tandem ca: a real one in a trial", "service/cmd/tandem/ca.go", "case !test && trial:", `case !test && trial && flag == "":`, inCommand, "TestCARefuses"},
	{"hsmsigner: a digest of any length", "service/ca/hsmsigner/hsmsigner.go", "len(digest) != hash.Size()", "len(digest) == 0", inHSMSigner, "TestSign"},
	{"hsmsigner: PSS by another padding", "service/ca/hsmsigner/hsmsigner.go", "pss || !ok", "pss && !ok || !ok", inHSMSigner, "TestSign"},
	{"tandem ca: a key for a CA that is refused", "service/ca/folder.go", "	if err := s.Check(); err != nil {\n		return err\n	}\n	f, err := ReadFolder", "	if s.Key != nil {\n		if _, err := s.Key(); err != nil {\n			return err\n		}\n	}\n	if err := s.Check(); err != nil {\n		return err\n	}\n	f, err := ReadFolder", inCA, "TestFolderElsewhere"},
	{"tandem ca: say nothing of a key that is left", "service/cmd/tandem/cakeys.go", "	if len(k.made) == 0 {\n", "	if len(k.made) < 9 {\n", inCommand, "TestCAKeysLeft"},
}
