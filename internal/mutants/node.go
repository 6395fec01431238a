package main

const inNode = "./service/node"

// nodeMutants are faults of the service as one process.
var nodeMutants = []mutant{
	{"node: test identities in production", "service/node/config.go", "case c.Production && c.TestIdentities != nil:", "case c.Production && c.TestIdentities != nil && c.DB == nil:", inNode, "TestProduction"},
	{"node: a CA for tests in production", "service/node/config.go", "case c.Production && test:", `case c.Production && test && name == "":`, inNode, "TestProduction"},
	{"node: a real CA in a trial", "service/node/config.go", "case !c.Production && !test:", `case !c.Production && !test && name == "":`, inNode, "TestProduction"},
	{"node: ready while it is stopped", "service/node/handler.go", "if n.draining.Load() {", "if n.draining.Load() && n.server == nil {", inNode, "TestReady"},
	{"node: ready without the database", "service/node/handler.go", "	if err == nil {\n		err = db\n	}\n", "", inNode, "TestReady"},
	{"node: ready without the store", "service/node/handler.go", "	n.metrics.pinged(err)\n", "	n.metrics.pinged(err)\n	err = nil\n", inNode, "TestReady"},
	{"node: a node that ends calls its parts down", "service/node/handler.go", "if parent.Err() != nil && n.problem.Load() != nil {", "if parent.Err() != nil && n.problem.Load() == nil {", inNode, "TestCutOffLook"},
	{"node: one slash where clients send two", "service/node/handler.go", `case under("/"+strings.TrimLeft(path, "/"), rpPath):`, "case under(path, rpPath):", inNode, "TestPaths"},
	{"serve: make in production what is missing", "service/cmd/tandem/servefolder.go", "	if config.production() {\n		for", "	if config.production() && c == nil {\n		for", inCommand, "TestServiceConfig"},
	{"serve: a secret that others may read", "service/cmd/tandem/servefolder.go", "	if err := checkSecret(name); err != nil {\n		return nil, err\n	}\n	text", "	text", inCommand, "TestServiceSecret"},
}
