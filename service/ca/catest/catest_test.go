package catest_test

import (
	"testing"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/catest"
)

func TestMemoryStore(t *testing.T) {
	s := catest.NewMemoryStore()
	catest.Test(t, func(*testing.T) ca.Store { return s })
}
