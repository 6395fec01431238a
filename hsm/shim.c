//go:build cgo && unix && !nopkcs11

#include <dlfcn.h>
#include <stddef.h>
#include "shim.h"

typedef unsigned long ulong_t;
typedef unsigned char byte_t;

typedef struct {
	ulong_t kind;
	void *param;
	ulong_t len;
} mech_t;

// CK_GCM_PARAMS of PKCS #11 2.40 errata 01, with ulIvBits. The shorter form
// of the first print is what NSS once had; NSS reads both.
typedef struct {
	byte_t *iv;
	ulong_t iv_len, iv_bits;
	byte_t *aad;
	ulong_t aad_len, tag_bits;
} gcm_t;

// Positions in CK_FUNCTION_LIST (pkcs11f.h of the standard, counted from 0).
enum {
	fn_login = 18,
	fn_create = 20,
	fn_get_attribute = 24,
	fn_set_attribute = 25,
	fn_find_init = 26,
	fn_find = 27,
	fn_find_final = 28,
	fn_encrypt_init = 29,
	fn_encrypt = 30,
	fn_decrypt_init = 33,
	fn_decrypt = 34,
	fn_sign_init = 42,
	fn_sign = 43,
	fn_generate = 58,
	fn_wrap = 60,
	fn_unwrap = 61,
	fn_derive = 62,
};

#define CALL(f, i, type) ((type)(f)->list->fn[i])

const char *hsm_open(const char *path, hsm_functions *f)
{
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (lib == NULL)
		return dlerror();
	ulong_t (*get)(hsm_list **) = (ulong_t (*)(hsm_list **))dlsym(lib, "C_GetFunctionList");
	if (get == NULL) {
		dlclose(lib);
		return "not a PKCS #11 module: it has no C_GetFunctionList";
	}
	f->list = NULL;
	if (get(&f->list) != 0 || f->list == NULL || f->list->major != 2) {
		dlclose(lib);
		return "not a PKCS #11 2.x module: C_GetFunctionList failed";
	}
	return NULL;
}

ulong_t hsm_login(hsm_functions *f, ulong_t session, byte_t *pin, ulong_t len)
{
	typedef ulong_t (*fn)(ulong_t, ulong_t, byte_t *, ulong_t);
	return CALL(f, fn_login, fn)(session, 1 /* CKU_USER */, pin, len);
}

hsm_result hsm_find(hsm_functions *f, ulong_t session, hsm_attr *template, ulong_t count, ulong_t *found, ulong_t limit)
{
	typedef ulong_t (*init)(ulong_t, hsm_attr *, ulong_t);
	typedef ulong_t (*find)(ulong_t, ulong_t *, ulong_t, ulong_t *);
	typedef ulong_t (*final)(ulong_t);
	hsm_result r = {0, 0};
	r.rv = CALL(f, fn_find_init, init)(session, template, count);
	if (r.rv != 0)
		return r;
	// A module may hand out fewer than it has: ask until it gives none.
	while (r.n < limit) {
		ulong_t got = 0;
		r.rv = CALL(f, fn_find, find)(session, found + r.n, limit - r.n, &got);
		if (r.rv != 0 || got == 0 || got > limit - r.n)
			break;
		r.n += got;
	}
	ulong_t rv = CALL(f, fn_find_final, final)(session);
	if (r.rv == 0)
		r.rv = rv;
	return r;
}

hsm_result hsm_attribute(hsm_functions *f, ulong_t session, ulong_t object, ulong_t kind, byte_t *buf, ulong_t len)
{
	typedef ulong_t (*fn)(ulong_t, ulong_t, hsm_attr *, ulong_t);
	hsm_attr a = {kind, buf, len};
	hsm_result r;
	r.rv = CALL(f, fn_get_attribute, fn)(session, object, &a, 1);
	r.n = a.len;
	return r;
}

ulong_t hsm_set_attributes(hsm_functions *f, ulong_t session, ulong_t object, hsm_attr *template, ulong_t count)
{
	typedef ulong_t (*fn)(ulong_t, ulong_t, hsm_attr *, ulong_t);
	return CALL(f, fn_set_attribute, fn)(session, object, template, count);
}

hsm_result hsm_create(hsm_functions *f, ulong_t session, hsm_attr *template, ulong_t count)
{
	typedef ulong_t (*fn)(ulong_t, hsm_attr *, ulong_t, ulong_t *);
	hsm_result r = {0, 0};
	r.rv = CALL(f, fn_create, fn)(session, template, count, &r.n);
	return r;
}

hsm_result hsm_generate(hsm_functions *f, ulong_t session, ulong_t mechanism, hsm_attr *template, ulong_t count)
{
	typedef ulong_t (*fn)(ulong_t, mech_t *, hsm_attr *, ulong_t, ulong_t *);
	mech_t m = {mechanism, NULL, 0};
	hsm_result r = {0, 0};
	r.rv = CALL(f, fn_generate, fn)(session, &m, template, count, &r.n);
	return r;
}

hsm_result hsm_crypt(hsm_functions *f, int op, ulong_t session, ulong_t mechanism, ulong_t key, int gcm,
	byte_t *param, ulong_t param_len, byte_t *aad, ulong_t aad_len,
	byte_t *in, ulong_t in_len, byte_t *out, ulong_t out_len)
{
	typedef ulong_t (*init)(ulong_t, mech_t *, ulong_t);
	typedef ulong_t (*run)(ulong_t, byte_t *, ulong_t, byte_t *, ulong_t *);
	static const int start[] = {fn_sign_init, fn_decrypt_init, fn_encrypt_init};
	static const int finish[] = {fn_sign, fn_decrypt, fn_encrypt};
	gcm_t g = {param, param_len, param_len * 8, aad, aad_len, 128};
	mech_t m = {mechanism, param, param_len};
	if (gcm) {
		m.param = &g;
		m.len = sizeof g;
	}
	hsm_result r = {0, out_len};
	r.rv = CALL(f, start[op], init)(session, &m, key);
	if (r.rv == 0)
		r.rv = CALL(f, finish[op], run)(session, in, in_len, out, &r.n);
	return r;
}

hsm_result hsm_wrap(hsm_functions *f, ulong_t session, ulong_t mechanism, byte_t *param, ulong_t param_len,
	ulong_t kek, ulong_t key, byte_t *out, ulong_t out_len)
{
	typedef ulong_t (*fn)(ulong_t, mech_t *, ulong_t, ulong_t, byte_t *, ulong_t *);
	mech_t m = {mechanism, param, param_len};
	hsm_result r = {0, out_len};
	r.rv = CALL(f, fn_wrap, fn)(session, &m, kek, key, out, &r.n);
	return r;
}

hsm_result hsm_unwrap(hsm_functions *f, ulong_t session, ulong_t mechanism, byte_t *param, ulong_t param_len,
	ulong_t kek, byte_t *wrapped, ulong_t wrapped_len, hsm_attr *template, ulong_t count)
{
	typedef ulong_t (*fn)(ulong_t, mech_t *, ulong_t, byte_t *, ulong_t, hsm_attr *, ulong_t, ulong_t *);
	mech_t m = {mechanism, param, param_len};
	hsm_result r = {0, 0};
	r.rv = CALL(f, fn_unwrap, fn)(session, &m, kek, wrapped, wrapped_len, template, count, &r.n);
	return r;
}

hsm_result hsm_derive(hsm_functions *f, ulong_t session, ulong_t mechanism, byte_t *param, ulong_t param_len,
	ulong_t key, hsm_attr *template, ulong_t count)
{
	typedef ulong_t (*fn)(ulong_t, mech_t *, ulong_t, hsm_attr *, ulong_t, ulong_t *);
	mech_t m = {mechanism, param, param_len};
	hsm_result r = {0, 0};
	r.rv = CALL(f, fn_derive, fn)(session, &m, key, template, count, &r.n);
	return r;
}
