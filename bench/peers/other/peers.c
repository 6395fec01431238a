/*
 * What OpenSSL and GMP take for the same work, for bench/peers.
 *
 * Commands are read from standard input, one a line, and each is answered with
 * one line, "ok ..." or "error ...". Numbers are hexadecimal.
 *
 *   info                                  ok OpenSSL and GMP versions
 *   load SLOT openssl BASE EXPONENT N     ok RESULT
 *   load SLOT gmp BASE EXPONENT N         ok RESULT
 *   load SLOT sign KEY DIGEST             ok SIGNATURE
 *   run SLOT COUNT                        ok NANOSECONDS
 *
 * "openssl" is BN_mod_exp_mont_consttime with a kept Montgomery context, "gmp"
 * mpz_powm_sec (which can keep nothing), "sign" EVP_PKEY_sign: RSASSA-PKCS1-v1_5
 * of a SHA-256 digest with the CRT and whatever blinding is the default; KEY is a
 * PKCS #8 structure. The time is the thread's processor time.
 */
#define _GNU_SOURCE
#include <gmp.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 64, WORDS = 6 };

struct job {
	/* One repetition; 0 if it failed. */
	int (*work)(struct job *);

	BIGNUM *base, *exponent, *n, *result;
	BN_MONT_CTX *mont;
	BN_CTX *ctx;

	mpz_t gbase, gexponent, gn, gresult;

	EVP_PKEY_CTX *signer;
	unsigned char digest[32], *signature;
	size_t room, length;
};

static struct job jobs[SLOTS];

static int work_openssl(struct job *j)
{
	return BN_mod_exp_mont_consttime(j->result, j->base, j->exponent, j->n, j->ctx, j->mont);
}

static int work_gmp(struct job *j)
{
	mpz_powm_sec(j->gresult, j->gbase, j->gexponent, j->gn);
	return 1;
}

static int work_sign(struct job *j)
{
	j->length = j->room;
	return EVP_PKEY_sign(j->signer, j->signature, &j->length, j->digest, sizeof j->digest) == 1;
}

static int load_openssl(struct job *j, char **number)
{
	j->ctx = BN_CTX_new();
	j->mont = BN_MONT_CTX_new();
	j->result = BN_new();
	if (!j->ctx || !j->mont || !j->result)
		return 0;
	if (!BN_hex2bn(&j->base, number[0]) || !BN_hex2bn(&j->exponent, number[1]) || !BN_hex2bn(&j->n, number[2]))
		return 0;
	BN_set_flags(j->exponent, BN_FLG_CONSTTIME);
	if (!BN_MONT_CTX_set(j->mont, j->n, j->ctx))
		return 0;
	j->work = work_openssl;
	if (!j->work(j))
		return 0;
	char *hex = BN_bn2hex(j->result);
	if (!hex)
		return 0;
	printf("ok %s\n", hex);
	OPENSSL_free(hex);
	return 1;
}

static int load_gmp(struct job *j, char **number)
{
	mpz_init(j->gresult);
	if (mpz_init_set_str(j->gbase, number[0], 16) || mpz_init_set_str(j->gexponent, number[1], 16) ||
	    mpz_init_set_str(j->gn, number[2], 16) || !mpz_odd_p(j->gn) || mpz_sgn(j->gexponent) <= 0)
		return 0;
	j->work = work_gmp;
	j->work(j);
	gmp_printf("ok %Zx\n", j->gresult);
	return 1;
}

static int load_sign(struct job *j, const char *key, const char *digest)
{
	long length;
	unsigned char *der = OPENSSL_hexstr2buf(key, &length);
	if (!der)
		return 0;
	const unsigned char *p = der;
	EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, length);
	OPENSSL_free(der);
	unsigned char *d = OPENSSL_hexstr2buf(digest, &length);
	if (!pkey || !d || length != sizeof j->digest)
		return 0;
	memcpy(j->digest, d, sizeof j->digest);
	OPENSSL_free(d);

	j->signer = EVP_PKEY_CTX_new(pkey, NULL);
	if (!j->signer || EVP_PKEY_sign_init(j->signer) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(j->signer, RSA_PKCS1_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(j->signer, EVP_sha256()) != 1)
		return 0;
	j->room = EVP_PKEY_get_size(pkey);
	j->signature = malloc(j->room);
	j->work = work_sign;
	if (!j->signature || !j->work(j))
		return 0;
	printf("ok ");
	for (size_t i = 0; i < j->length; i++)
		printf("%02x", j->signature[i]);
	printf("\n");
	return 1;
}

static long long thread_time(void)
{
	struct timespec t;
	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t)) {
		perror("clock_gettime");
		exit(1);
	}
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int run(struct job *j, const char *count)
{
	long n = strtol(count, NULL, 10);
	if (!j->work || n < 1)
		return 0;
	long long began = thread_time();
	for (long i = 0; i < n; i++)
		if (!j->work(j))
			return 0;
	printf("ok %lld\n", thread_time() - began);
	return 1;
}

/* A slot that has been loaded stays so. */
static struct job *slot(const char *word, int loaded)
{
	long i = strtol(word, NULL, 10);
	if (i < 0 || i >= SLOTS || (jobs[i].work != NULL) != loaded)
		return NULL;
	return &jobs[i];
}

static int answer(char **word, int words)
{
	struct job *j;
	if (words == 1 && !strcmp(word[0], "info")) {
		printf("ok %s, GMP %s\n", OpenSSL_version(OPENSSL_VERSION), gmp_version);
		return 1;
	}
	if (words == 6 && !strcmp(word[0], "load") && (j = slot(word[1], 0))) {
		if (!strcmp(word[2], "openssl"))
			return load_openssl(j, word + 3);
		if (!strcmp(word[2], "gmp"))
			return load_gmp(j, word + 3);
	}
	if (words == 5 && !strcmp(word[0], "load") && !strcmp(word[2], "sign") && (j = slot(word[1], 0)))
		return load_sign(j, word[3], word[4]);
	if (words == 3 && !strcmp(word[0], "run") && (j = slot(word[1], 1)))
		return run(j, word[2]);
	return 0;
}

int main(void)
{
	char *line = NULL;
	size_t room = 0;
	while (getline(&line, &room, stdin) > 0) {
		char *word[WORDS + 1], *save = NULL;
		int words = 0;
		for (char *w = strtok_r(line, " \n", &save); w && words <= WORDS; w = strtok_r(NULL, " \n", &save))
			word[words++] = w;
		if (!answer(word, words))
			printf("error\n");
		if (fflush(stdout))
			return 1;
	}
	free(line);
	return 0;
}
