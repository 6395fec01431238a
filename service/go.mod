module github.com/tandem-rsa/tandem/service

go 1.26.0

require (
	github.com/stretchr/testify v1.12.1
	github.com/tandem-rsa/tandem v0.0.0
	go.etcd.io/bbolt v1.5.0
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

// Both modules live and are versioned together.
replace github.com/tandem-rsa/tandem => ../
