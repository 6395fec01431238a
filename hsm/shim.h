// The PKCS #11 calls that this package makes, with buffers sized by the caller:
// no allocation, no query for the length of a result, one crossing from Go for
// each operation.
//
// The function list is that of PKCS #11 2.40 (OASIS standard, 14 April 2015,
// section 5 and appendix): a version and 68 pointers in a fixed order, laid
// out with the platform's alignment, as on every Unix.

#ifndef TANDEM_HSM_SHIM_H
#define TANDEM_HSM_SHIM_H

typedef struct {
	unsigned char major, minor;
	void *fn[68];
} hsm_list;

typedef struct {
	hsm_list *list;
} hsm_functions;

// hsm_attr is CK_ATTRIBUTE.
typedef struct {
	unsigned long kind;
	void *value;
	unsigned long len;
} hsm_attr;

// hsm_result is what a call returned, and a length or a handle.
typedef struct {
	unsigned long rv, n;
} hsm_result;

// hsm_token is the part of CK_TOKEN_INFO that is used.
typedef struct {
	unsigned char label[32], model[16], serial[16];
	unsigned long flags, max_rw_sessions;
} hsm_token;

enum { hsm_sign, hsm_decrypt, hsm_encrypt };

const char *hsm_open(const char *path, hsm_functions *f);
unsigned long hsm_initialize(hsm_functions *f, void *reserved);
unsigned long hsm_finalize(hsm_functions *f);
hsm_result hsm_slots(hsm_functions *f, unsigned long *slots, unsigned long limit);
unsigned long hsm_token_info(hsm_functions *f, unsigned long slot, hsm_token *info);
hsm_result hsm_mechanisms(hsm_functions *f, unsigned long slot, unsigned long *kinds, unsigned long limit);
hsm_result hsm_open_session(hsm_functions *f, unsigned long slot);
hsm_result hsm_session_state(hsm_functions *f, unsigned long session);
unsigned long hsm_close_session(hsm_functions *f, unsigned long session);
unsigned long hsm_close_all_sessions(hsm_functions *f, unsigned long slot);
unsigned long hsm_login(hsm_functions *f, unsigned long session, unsigned char *pin, unsigned long len);
hsm_result hsm_find(hsm_functions *f, unsigned long session, hsm_attr *template, unsigned long count,
	unsigned long *found, unsigned long limit);
hsm_result hsm_attribute(hsm_functions *f, unsigned long session, unsigned long object, unsigned long kind,
	unsigned char *buf, unsigned long len);
unsigned long hsm_set_attributes(hsm_functions *f, unsigned long session, unsigned long object,
	hsm_attr *template, unsigned long count);
hsm_result hsm_create(hsm_functions *f, unsigned long session, hsm_attr *template, unsigned long count);
hsm_result hsm_copy(hsm_functions *f, unsigned long session, unsigned long object, hsm_attr *template,
	unsigned long count);
unsigned long hsm_destroy(hsm_functions *f, unsigned long session, unsigned long object);
hsm_result hsm_generate(hsm_functions *f, unsigned long session, unsigned long mechanism,
	hsm_attr *template, unsigned long count);
unsigned long hsm_generate_pair(hsm_functions *f, unsigned long session, unsigned long mechanism,
	hsm_attr *public, unsigned long public_count, hsm_attr *private, unsigned long private_count,
	unsigned long *handles);
hsm_result hsm_crypt(hsm_functions *f, int op, unsigned long session, unsigned long mechanism, unsigned long key,
	int gcm, unsigned char *param, unsigned long param_len, unsigned char *aad, unsigned long aad_len,
	unsigned char *in, unsigned long in_len, unsigned char *out, unsigned long out_len);
hsm_result hsm_wrap(hsm_functions *f, unsigned long session, unsigned long mechanism,
	unsigned char *param, unsigned long param_len, unsigned long kek, unsigned long key,
	unsigned char *out, unsigned long out_len);
hsm_result hsm_unwrap(hsm_functions *f, unsigned long session, unsigned long mechanism,
	unsigned char *param, unsigned long param_len, unsigned long kek,
	unsigned char *wrapped, unsigned long wrapped_len, hsm_attr *template, unsigned long count);
hsm_result hsm_derive(hsm_functions *f, unsigned long session, unsigned long mechanism,
	int ecdh, unsigned char *param, unsigned long param_len, unsigned long key,
	hsm_attr *template, unsigned long count);

#endif
