module github.com/tandem-rsa/tandem/examples

go 1.26.0

require (
	github.com/smallstep/pkcs7 v0.2.3
	github.com/stretchr/testify v1.12.1
	github.com/tandem-rsa/tandem v0.0.0
)

require (
	filippo.io/bigmod v0.1.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

// Both modules live and are versioned together.
replace github.com/tandem-rsa/tandem => ../
