//go:build cgo && unix && !nopkcs11

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
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
	fn_initialize = 0,
	fn_finalize = 1,
	fn_slots = 4,
	fn_token_info = 6,
	fn_mechanisms = 7,
	fn_open_session = 12,
	fn_close_session = 13,
	fn_close_all = 14,
	fn_session_info = 15,
	fn_login = 18,
	fn_create = 20,
	fn_copy = 21,
	fn_destroy = 22,
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
	fn_generate_pair = 59,
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

ulong_t hsm_initialize(hsm_functions *f, void *reserved)
{
	typedef ulong_t (*fn)(void *);
	// CK_C_INITIALIZE_ARGS: no mutex functions, CKF_OS_LOCKING_OK. Without
	// locking SoftHSM crashes under two threads.
	struct {
		void *mutex[4];
		ulong_t flags;
		void *reserved;
	} args = {{NULL, NULL, NULL, NULL}, 2, reserved};
	return CALL(f, fn_initialize, fn)(&args);
}

ulong_t hsm_finalize(hsm_functions *f)
{
	typedef ulong_t (*fn)(void *);
	return CALL(f, fn_finalize, fn)(NULL);
}

hsm_result hsm_slots(hsm_functions *f, ulong_t *slots, ulong_t limit)
{
	typedef ulong_t (*fn)(byte_t, ulong_t *, ulong_t *);
	hsm_result r = {0, 0};
	// Some modules look for new tokens only when asked for the number
	// (PKCS #11 2.40, section 5.5: C_GetSlotList).
	r.rv = CALL(f, fn_slots, fn)(1, NULL, &r.n);
	if (r.rv != 0)
		return r;
	r.n = limit;
	r.rv = CALL(f, fn_slots, fn)(1, slots, &r.n);
	return r;
}

ulong_t hsm_token_info(hsm_functions *f, ulong_t slot, hsm_token *info)
{
	typedef struct {
		byte_t label[32], manufacturer[32], model[16], serial[16];
		ulong_t flags, max_sessions, sessions, max_rw_sessions, rw_sessions, max_pin, min_pin;
		ulong_t total_public, free_public, total_private, free_private;
		byte_t hardware[2], firmware[2], time[16];
	} info_t;
	typedef ulong_t (*fn)(ulong_t, info_t *);
	info_t i;
	memset(&i, 0, sizeof i);
	ulong_t rv = CALL(f, fn_token_info, fn)(slot, &i);
	memcpy(info->label, i.label, sizeof i.label);
	memcpy(info->model, i.model, sizeof i.model);
	memcpy(info->serial, i.serial, sizeof i.serial);
	info->flags = i.flags;
	info->max_rw_sessions = i.max_rw_sessions;
	return rv;
}

hsm_result hsm_mechanisms(hsm_functions *f, ulong_t slot, ulong_t *kinds, ulong_t limit)
{
	typedef ulong_t (*fn)(ulong_t, ulong_t *, ulong_t *);
	hsm_result r = {0, limit};
	r.rv = CALL(f, fn_mechanisms, fn)(slot, kinds, &r.n);
	return r;
}

hsm_result hsm_open_session(hsm_functions *f, ulong_t slot)
{
	typedef ulong_t (*fn)(ulong_t, ulong_t, void *, void *, ulong_t *);
	hsm_result r = {0, 0};
	// CKF_RW_SESSION | CKF_SERIAL_SESSION
	r.rv = CALL(f, fn_open_session, fn)(slot, 6, NULL, NULL, &r.n);
	return r;
}

hsm_result hsm_session_state(hsm_functions *f, ulong_t session)
{
	typedef ulong_t (*fn)(ulong_t, ulong_t *);
	ulong_t info[4] = {0}; // CK_SESSION_INFO: slot, state, flags, device error
	hsm_result r = {0, 0};
	r.rv = CALL(f, fn_session_info, fn)(session, info);
	r.n = info[1];
	return r;
}

ulong_t hsm_close_session(hsm_functions *f, ulong_t session)
{
	typedef ulong_t (*fn)(ulong_t);
	return CALL(f, fn_close_session, fn)(session);
}

ulong_t hsm_close_all_sessions(hsm_functions *f, ulong_t slot)
{
	typedef ulong_t (*fn)(ulong_t);
	return CALL(f, fn_close_all, fn)(slot);
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

hsm_result hsm_copy(hsm_functions *f, ulong_t session, ulong_t object, hsm_attr *template, ulong_t count)
{
	typedef ulong_t (*fn)(ulong_t, ulong_t, hsm_attr *, ulong_t, ulong_t *);
	hsm_result r = {0, 0};
	r.rv = CALL(f, fn_copy, fn)(session, object, template, count, &r.n);
	return r;
}

ulong_t hsm_destroy(hsm_functions *f, ulong_t session, ulong_t object)
{
	typedef ulong_t (*fn)(ulong_t, ulong_t);
	return CALL(f, fn_destroy, fn)(session, object);
}

hsm_result hsm_generate(hsm_functions *f, ulong_t session, ulong_t mechanism, hsm_attr *template, ulong_t count)
{
	typedef ulong_t (*fn)(ulong_t, mech_t *, hsm_attr *, ulong_t, ulong_t *);
	mech_t m = {mechanism, NULL, 0};
	hsm_result r = {0, 0};
	r.rv = CALL(f, fn_generate, fn)(session, &m, template, count, &r.n);
	return r;
}

ulong_t hsm_generate_pair(hsm_functions *f, ulong_t session, ulong_t mechanism,
	hsm_attr *public, ulong_t public_count, hsm_attr *private, ulong_t private_count, ulong_t *handles)
{
	typedef ulong_t (*fn)(ulong_t, mech_t *, hsm_attr *, ulong_t, hsm_attr *, ulong_t, ulong_t *, ulong_t *);
	mech_t m = {mechanism, NULL, 0};
	return CALL(f, fn_generate_pair, fn)(session, &m, public, public_count, private, private_count, handles, handles + 1);
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

hsm_result hsm_derive(hsm_functions *f, ulong_t session, ulong_t mechanism, int ecdh, byte_t *param, ulong_t param_len,
	ulong_t key, hsm_attr *template, ulong_t count)
{
	typedef ulong_t (*fn)(ulong_t, mech_t *, ulong_t, hsm_attr *, ulong_t, ulong_t *);
	mech_t m = {mechanism, param, param_len};
	// CK_ECDH1_DERIVE_PARAMS with CKD_NULL.
	struct {
		ulong_t kdf, shared_len;
		byte_t *shared;
		ulong_t public_len;
		byte_t *public;
	} e = {1, 0, NULL, param_len, param};
	if (ecdh) {
		m.param = &e;
		m.len = sizeof e;
	}
	hsm_result r = {0, 0};
	r.rv = CALL(f, fn_derive, fn)(session, &m, key, template, count, &r.n);
	return r;
}
