module github.com/tandem-rsa/tandem/internal/modexp/_prove

go 1.26.0
