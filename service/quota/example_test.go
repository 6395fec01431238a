package quota_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/quota"
)

// Two logins of a person at once, and then one in each half minute.
func ExampleQuota_Allow() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "quota")
	check(err)
	defer os.RemoveAll(folder)
	db, err := database.Open(ctx, "sqlite:"+filepath.Join(folder, "service.db"), database.Options{})
	check(err)
	defer db.Close()
	noon := func() time.Time { return time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC) } // a service leaves it out
	logins, err := quota.New(db, "login", quota.Rules{Person: []quota.Rule{{N: 2, Per: time.Minute}}}, noon)
	check(err)
	for range 3 {
		err := logins.Allow(ctx, quota.Attempt{Person: "PNOEE-40504040001"})
		if later, ok := errors.AsType[*quota.Later](err); ok {
			fmt.Println("later:", later.After)
			continue
		}
		check(err)
		fmt.Println("allowed")
	}
	// Output:
	// allowed
	// allowed
	// later: 30s
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
