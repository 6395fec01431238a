module github.com/tandem-rsa/tandem/splitkey/internal/modexp/_asm

go 1.26.0
