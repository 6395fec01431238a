module github.com/tandem-rsa/tandem/internal/modexp/_asm

go 1.26.0
