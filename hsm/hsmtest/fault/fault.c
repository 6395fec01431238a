// A PKCS #11 module for tests. It stands in front of another module, hands every call
// on, and fails in the ways that the test asks for through a file that both map: the
// struct control below, whose path is in the environment variable TANDEM_FAULT. It also
// counts what reached it. fault.go holds the same struct in Go.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define CK_PTR *
#define NULL_PTR 0
#define CK_DEFINE_FUNCTION(returnType, name) returnType name
#define CK_DECLARE_FUNCTION(returnType, name) returnType name
#define CK_DECLARE_FUNCTION_POINTER(returnType, name) returnType(*name)
#define CK_CALLBACK_FUNCTION(returnType, name) returnType(*name)
#include "pkcs11.h"

// The functions are numbered in the order of pkcs11f.h.
enum {
#define CK_PKCS11_FUNCTION_INFO(name) N_##name,
#include "pkcs11f.h"
#undef CK_PKCS11_FUNCTION_INFO
	FUNCTIONS, // as the function of a rule: any of them
};

enum { REFUSE = 1, LOSE, HOLD, FLIP }; // what a rule does; see fault.go

struct rule {
	uint64_t armed; // 0, or a number that no other rule had
	uint64_t function, action, value;
	int64_t skip;  // so many calls first
	int64_t times; // -1: for ever
};

struct lie {
	uint64_t attribute, value;
};

enum { RULES = 16, HIDDEN = 32, LIES = 8, FUNCTIONS_MAX = 80 };

struct control {
	char module[256]; // path of the real module
	uint64_t major, minor;
	uint64_t max_sessions;
	uint64_t read_only; // 1: no read-write sessions, 2: no new token objects
	uint64_t zero_iv;   // AES-GCM takes zeros for the IV only, and makes its own
	uint64_t private_halves; // public keys must have CKA_PRIVATE
	uint64_t no_session_pairs; // key pairs must have CKA_TOKEN
	uint64_t drop_templates;   // CKA_UNWRAP_TEMPLATE is taken and forgotten
	uint64_t hidden_count, hidden[HIDDEN];
	uint64_t lie_count;
	struct lie lies[LIES];
	struct rule rules[RULES];

	// Written by the module only.
	uint64_t functions;
	uint64_t calls[FUNCTIONS_MAX], faults[FUNCTIONS_MAX];
	uint64_t inside, held;
	uint64_t sessions, most_sessions;
	uint64_t overlaps;     // calls in a session that was busy, and C_Finalize during calls
	uint64_t bad_operands; // of raw RSA: not of the modulus's length, or not below it
	uint64_t hidden_used;
	uint64_t nested; // templates within templates
	uint64_t pins_refused;
};

static struct control *ctl;
static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST list;

static void add(uint64_t *counter, uint64_t n) { __atomic_add_fetch(counter, n, __ATOMIC_SEQ_CST); }
static uint64_t get(uint64_t *counter) { return __atomic_load_n(counter, __ATOMIC_SEQ_CST); }

// What is known of a session. A session is in the place of its number, so modules whose
// numbers are far apart share places and are not told apart; SoftHSM's are small.
enum { SESSIONS = 4096 };
static struct {
	int busy;
	CK_BYTE modulus[2048]; // of the raw RSA operation that was begun
	CK_ULONG length;       // 0: another operation
} sessions[SESSIONS];

struct call {
	int function;
	CK_SESSION_HANDLE session; // 0: none
	int done;                  // rv is the answer, and the real module is not asked
	int lose;
	CK_RV rv, lost;
	int64_t flip; // the bit of the result that will be wrong, or -1
};

// take reports whether a rule is for this call, and uses it up.
static int take(struct rule *r, int function) {
	if (get(&r->armed) == 0 || (r->function != FUNCTIONS && r->function != (uint64_t)function)) return 0;
	if (r->skip > 0 && __atomic_fetch_sub(&r->skip, 1, __ATOMIC_SEQ_CST) > 0) return 0;
	for (;;) {
		int64_t left = __atomic_load_n(&r->times, __ATOMIC_SEQ_CST);
		if (left == 0) return 0;
		if (left < 0 || __atomic_compare_exchange_n(&r->times, &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return 1;
	}
}

static struct call enter(int function, CK_SESSION_HANDLE session) {
	struct call c = {.function = function, .session = session, .flip = -1};
	add(&ctl->calls[function], 1);
	uint64_t inside = __atomic_add_fetch(&ctl->inside, 1, __ATOMIC_SEQ_CST);
	// Of either SoftHSM would die, so it sees neither.
	if ((function == N_C_Finalize && inside > 1) ||
	    (session && __atomic_exchange_n(&sessions[session % SESSIONS].busy, 1, __ATOMIC_SEQ_CST))) {
		add(&ctl->overlaps, 1);
		c.session = 0; // which stays busy
		c.done = 1;
		c.rv = CKR_OPERATION_ACTIVE;
		return c;
	}
	for (int i = 0; i < RULES; i++) {
		struct rule *r = &ctl->rules[i];
		uint64_t armed = get(&r->armed);
		if (armed == 0 || !take(r, function)) continue;
		add(&ctl->faults[function], 1);
		switch (r->action) {
		case REFUSE:
			c.done = 1;
			c.rv = r->value;
			return c;
		case LOSE:
			c.lose = 1;
			c.lost = r->value;
			break;
		case HOLD:
			add(&ctl->held, 1);
			while (get(&r->armed) == armed) usleep(1000);
			add(&ctl->held, -1);
			break;
		case FLIP:
			c.flip = r->value;
			break;
		}
	}
	return c;
}

static CK_RV leave(struct call *c) {
	if (c->lose) c->rv = c->lost;
	if (c->session) __atomic_store_n(&sessions[c->session % SESSIONS].busy, 0, __ATOMIC_SEQ_CST);
	add(&ctl->inside, -1);
	return c->rv;
}

static void answer(struct call *c, CK_RV rv) {
	c->done = 1;
	c->rv = rv;
}

// spoil flips the bit of a result, counted from the least significant one of its last
// byte.
static void spoil(struct call *c, CK_BYTE_PTR out, CK_ULONG_PTR n) {
	if (c->flip < 0 || c->rv != CKR_OK || out == NULL || n == NULL || *n == 0) return;
	CK_ULONG at = *n - 1 - (CK_ULONG)(c->flip / 8) % *n;
	out[at] ^= 1 << (c->flip % 8);
}

static int hidden(CK_MECHANISM_TYPE kind) {
	for (uint64_t i = 0; i < get(&ctl->hidden_count); i++)
		if (ctl->hidden[i] == kind) return 1;
	return 0;
}

// absent answers a call that uses a hidden mechanism.
static void absent(struct call *c, CK_MECHANISM_PTR m) {
	if (c->done || m == NULL || !hidden(m->mechanism)) return;
	add(&ctl->hidden_used, 1);
	answer(c, CKR_MECHANISM_INVALID);
}

static int is(CK_ATTRIBUTE_PTR a, CK_ATTRIBUTE_TYPE type, CK_BBOOL value) {
	return a->type == type && a->pValue != NULL && a->ulValueLen == 1 && *(CK_BBOOL *)a->pValue == value;
}

// inspect looks at a template that makes an object.
static void inspect(struct call *c, CK_ATTRIBUTE_PTR a, CK_ULONG n) {
	for (CK_ULONG i = 0; i < n; i++) {
		if (a[i].type & CKF_ARRAY_ATTRIBUTE) add(&ctl->nested, 1);
		if (!c->done && get(&ctl->read_only) && is(&a[i], CKA_TOKEN, CK_TRUE)) answer(c, CKR_TOKEN_WRITE_PROTECTED);
	}
}

// drop forgets the templates in a template.
static CK_ULONG drop(CK_ATTRIBUTE_PTR a, CK_ULONG n) {
	if (!get(&ctl->drop_templates)) return n;
	CK_ULONG kept = 0;
	for (CK_ULONG i = 0; i < n; i++)
		if (!(a[i].type & CKF_ARRAY_ATTRIBUTE)) a[kept++] = a[i];
	return kept;
}

static CK_RV f_C_Initialize(CK_VOID_PTR a) {
	struct call c = enter(N_C_Initialize, 0);
	if (!c.done) c.rv = real->C_Initialize(a);
	return leave(&c);
}

static CK_RV f_C_Finalize(CK_VOID_PTR a) {
	struct call c = enter(N_C_Finalize, 0);
	if (!c.done) c.rv = real->C_Finalize(a);
	if (c.rv == CKR_OK) __atomic_store_n(&ctl->sessions, 0, __ATOMIC_SEQ_CST);
	return leave(&c);
}

static CK_RV f_C_GetInfo(CK_INFO_PTR a) {
	struct call c = enter(N_C_GetInfo, 0);
	if (!c.done) c.rv = real->C_GetInfo(a);
	if (c.rv == CKR_OK && a && get(&ctl->major)) {
		a->cryptokiVersion.major = ctl->major;
		a->cryptokiVersion.minor = ctl->minor;
	}
	return leave(&c);
}

static CK_RV f_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR a) {
	struct call c = enter(N_C_GetTokenInfo, 0);
	if (!c.done) c.rv = real->C_GetTokenInfo(slot, a);
	if (c.rv == CKR_OK && a && get(&ctl->read_only)) a->flags |= CKF_WRITE_PROTECTED;
	return leave(&c);
}

static CK_RV f_C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR kinds, CK_ULONG_PTR n) {
	struct call c = enter(N_C_GetMechanismList, 0);
	CK_ULONG kept = 0;
	if (!c.done) c.rv = real->C_GetMechanismList(slot, kinds, n);
	// Who asks for the number gets it with the hidden ones, as an upper bound.
	if (c.rv == CKR_OK && kinds && n) {
		for (CK_ULONG i = 0; i < *n; i++)
			if (!hidden(kinds[i])) kinds[kept++] = kinds[i];
		*n = kept;
	}
	return leave(&c);
}

static CK_RV f_C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR app, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR s) {
	struct call c = enter(N_C_OpenSession, 0);
	if (!c.done && get(&ctl->read_only) == 1 && flags & CKF_RW_SESSION) answer(&c, CKR_TOKEN_WRITE_PROTECTED);
	uint64_t limit = get(&ctl->max_sessions);
	if (!c.done) {
		uint64_t open = __atomic_add_fetch(&ctl->sessions, 1, __ATOMIC_SEQ_CST);
		if (limit && open > limit) answer(&c, CKR_SESSION_COUNT);
		else c.rv = real->C_OpenSession(slot, flags, app, notify, s);
		if (c.rv != CKR_OK) add(&ctl->sessions, -1);
		else if (open > get(&ctl->most_sessions)) __atomic_store_n(&ctl->most_sessions, open, __ATOMIC_SEQ_CST);
	}
	return leave(&c);
}

static CK_RV f_C_CloseSession(CK_SESSION_HANDLE s) {
	struct call c = enter(N_C_CloseSession, s);
	if (!c.done) {
		c.rv = real->C_CloseSession(s);
		if (c.rv == CKR_OK) add(&ctl->sessions, -1);
	}
	return leave(&c);
}

static CK_RV f_C_CloseAllSessions(CK_SLOT_ID slot) {
	struct call c = enter(N_C_CloseAllSessions, 0);
	if (!c.done) {
		c.rv = real->C_CloseAllSessions(slot);
		if (c.rv == CKR_OK) __atomic_store_n(&ctl->sessions, 0, __ATOMIC_SEQ_CST);
	}
	return leave(&c);
}

static CK_RV f_C_Login(CK_SESSION_HANDLE s, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG n) {
	struct call c = enter(N_C_Login, s);
	if (!c.done) c.rv = real->C_Login(s, user, pin, n);
	if (c.rv == CKR_PIN_INCORRECT || c.rv == CKR_PIN_LOCKED || c.rv == CKR_PIN_LEN_RANGE) add(&ctl->pins_refused, 1);
	return leave(&c);
}

static CK_RV f_C_GetAttributeValue(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_PTR a, CK_ULONG n) {
	struct call c = enter(N_C_GetAttributeValue, s);
	if (!c.done) c.rv = real->C_GetAttributeValue(s, o, a, n);
	if (c.rv == CKR_OK)
		for (CK_ULONG i = 0; i < n; i++)
			for (uint64_t l = 0; l < get(&ctl->lie_count); l++)
				if (a[i].type == ctl->lies[l].attribute && a[i].pValue && a[i].ulValueLen == 1)
					*(CK_BYTE *)a[i].pValue = ctl->lies[l].value;
	return leave(&c);
}

// begin notes the modulus of the key with which raw RSA begins.
static void begin(struct call *c, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key) {
	if (c->rv != CKR_OK || m == NULL) return;
	CK_SESSION_HANDLE s = c->session;
	CK_ATTRIBUTE a = {CKA_MODULUS, sessions[s % SESSIONS].modulus, sizeof sessions[0].modulus};
	sessions[s % SESSIONS].length = 0;
	if (m->mechanism == CKM_RSA_X_509 && real->C_GetAttributeValue(s, key, &a, 1) == CKR_OK)
		sessions[s % SESSIONS].length = a.ulValueLen;
}

// operand counts an input of raw RSA that should not have come here.
static void operand(CK_SESSION_HANDLE s, CK_BYTE_PTR in, CK_ULONG n) {
	CK_ULONG k = sessions[s % SESSIONS].length;
	if (k && (n != k || memcmp(in, sessions[s % SESSIONS].modulus, k) >= 0)) add(&ctl->bad_operands, 1);
}

#define INIT(name) \
	static CK_RV f_##name(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key) { \
		struct call c = enter(N_##name, s); \
		absent(&c, m); \
		if (!c.done) { \
			c.rv = real->name(s, m, key); \
			begin(&c, m, key); \
		} \
		return leave(&c); \
	}
INIT(C_SignInit)
INIT(C_DecryptInit)
INIT(C_SignRecoverInit)
INIT(C_VerifyInit)
INIT(C_VerifyRecoverInit)

static CK_RV f_C_EncryptInit(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key) {
	struct call c = enter(N_C_EncryptInit, s);
	absent(&c, m);
	if (!c.done && m && m->mechanism == CKM_AES_GCM && get(&ctl->zero_iv)) {
		CK_GCM_PARAMS_PTR gcm = m->pParameter;
		for (CK_ULONG i = 0; i < gcm->ulIvLen; i++)
			if (gcm->pIv[i]) answer(&c, CKR_MECHANISM_PARAM_INVALID);
		if (!c.done && getrandom(gcm->pIv, gcm->ulIvLen, 0) < 0) answer(&c, CKR_DEVICE_ERROR);
	}
	if (!c.done) {
		c.rv = real->C_EncryptInit(s, m, key);
		begin(&c, m, key);
	}
	return leave(&c);
}

#define CRYPT(name) \
	static CK_RV f_##name(CK_SESSION_HANDLE s, CK_BYTE_PTR in, CK_ULONG n, CK_BYTE_PTR out, CK_ULONG_PTR m) { \
		struct call c = enter(N_##name, s); \
		operand(s, in, n); \
		if (!c.done) { \
			c.rv = real->name(s, in, n, out, m); \
			spoil(&c, out, m); \
		} \
		return leave(&c); \
	}
CRYPT(C_Sign)
CRYPT(C_Decrypt)
CRYPT(C_Encrypt)

#define MAKE(name, types, args, check) \
	static CK_RV f_##name types { \
		struct call c = enter(N_##name, s); \
		check; \
		if (!c.done) c.rv = real->name args; \
		return leave(&c); \
	}
MAKE(C_CreateObject, (CK_SESSION_HANDLE s, CK_ATTRIBUTE_PTR a, CK_ULONG n, CK_OBJECT_HANDLE_PTR o),
     (s, a, n, o), inspect(&c, a, n))
MAKE(C_CopyObject, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE from, CK_ATTRIBUTE_PTR a, CK_ULONG n, CK_OBJECT_HANDLE_PTR o),
     (s, from, a, n, o), inspect(&c, a, n))
MAKE(C_GenerateKey, (CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_ATTRIBUTE_PTR a, CK_ULONG n, CK_OBJECT_HANDLE_PTR o),
     (s, m, a, n, o), (absent(&c, m), inspect(&c, a, n), n = drop(a, n)))
MAKE(C_WrapKey, (CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE kek, CK_OBJECT_HANDLE key, CK_BYTE_PTR out, CK_ULONG_PTR n),
     (s, m, kek, key, out, n), absent(&c, m))
MAKE(C_UnwrapKey, (CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE kek, CK_BYTE_PTR in, CK_ULONG l, CK_ATTRIBUTE_PTR a, CK_ULONG n, CK_OBJECT_HANDLE_PTR o),
     (s, m, kek, in, l, a, n, o), (absent(&c, m), inspect(&c, a, n)))
MAKE(C_DeriveKey, (CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_PTR a, CK_ULONG n, CK_OBJECT_HANDLE_PTR o),
     (s, m, key, a, n, o), (absent(&c, m), inspect(&c, a, n)))

static CK_RV f_C_GenerateKeyPair(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_ATTRIBUTE_PTR pub, CK_ULONG pubs,
                                 CK_ATTRIBUTE_PTR priv, CK_ULONG privs, CK_OBJECT_HANDLE_PTR p, CK_OBJECT_HANDLE_PTR q) {
	struct call c = enter(N_C_GenerateKeyPair, s);
	absent(&c, m);
	inspect(&c, pub, pubs);
	inspect(&c, priv, privs);
	if (get(&ctl->no_session_pairs)) {
		int kept = 0;
		for (CK_ULONG i = 0; i < privs; i++) kept |= is(&priv[i], CKA_TOKEN, CK_TRUE);
		if (!c.done && !kept) answer(&c, CKR_ATTRIBUTE_VALUE_INVALID);
	}
	if (get(&ctl->private_halves))
		for (CK_ULONG i = 0; i < pubs; i++)
			if (!c.done && is(&pub[i], CKA_PRIVATE, CK_FALSE)) answer(&c, CKR_ATTRIBUTE_VALUE_INVALID);
	if (!c.done) c.rv = real->C_GenerateKeyPair(s, m, pub, pubs, priv, privs, p, q);
	return leave(&c);
}

// All others are handed on.
#define PASS(name, session, types, args) \
	static CK_RV f_##name types { \
		struct call c = enter(N_##name, session); \
		if (!c.done) c.rv = real->name args; \
		return leave(&c); \
	}
#define IN_OUT(name) \
	PASS(name, s, (CK_SESSION_HANDLE s, CK_BYTE_PTR in, CK_ULONG n, CK_BYTE_PTR out, CK_ULONG_PTR m), (s, in, n, out, m))
#define IN(name) PASS(name, s, (CK_SESSION_HANDLE s, CK_BYTE_PTR in, CK_ULONG n), (s, in, n))
#define OUT(name) PASS(name, s, (CK_SESSION_HANDLE s, CK_BYTE_PTR out, CK_ULONG_PTR n), (s, out, n))
#define ONLY(name) PASS(name, s, (CK_SESSION_HANDLE s), (s))
PASS(C_GetSlotList, 0, (CK_BBOOL a, CK_SLOT_ID_PTR b, CK_ULONG_PTR c0), (a, b, c0))
PASS(C_GetSlotInfo, 0, (CK_SLOT_ID a, CK_SLOT_INFO_PTR b), (a, b))
PASS(C_GetMechanismInfo, 0, (CK_SLOT_ID a, CK_MECHANISM_TYPE b, CK_MECHANISM_INFO_PTR d), (a, b, d))
PASS(C_InitToken, 0, (CK_SLOT_ID a, CK_UTF8CHAR_PTR b, CK_ULONG n, CK_UTF8CHAR_PTR d), (a, b, n, d))
PASS(C_SetPIN, s, (CK_SESSION_HANDLE s, CK_UTF8CHAR_PTR a, CK_ULONG n, CK_UTF8CHAR_PTR b, CK_ULONG m), (s, a, n, b, m))
PASS(C_GetSessionInfo, s, (CK_SESSION_HANDLE s, CK_SESSION_INFO_PTR a), (s, a))
PASS(C_SetOperationState, s, (CK_SESSION_HANDLE s, CK_BYTE_PTR a, CK_ULONG n, CK_OBJECT_HANDLE x, CK_OBJECT_HANDLE y), (s, a, n, x, y))
PASS(C_DestroyObject, s, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o), (s, o))
PASS(C_GetObjectSize, s, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ULONG_PTR n), (s, o, n))
PASS(C_SetAttributeValue, s, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_PTR a, CK_ULONG n), (s, o, a, n))
PASS(C_FindObjectsInit, s, (CK_SESSION_HANDLE s, CK_ATTRIBUTE_PTR a, CK_ULONG n), (s, a, n))
PASS(C_FindObjects, s, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE_PTR o, CK_ULONG n, CK_ULONG_PTR m), (s, o, n, m))
PASS(C_DigestInit, s, (CK_SESSION_HANDLE s, CK_MECHANISM_PTR m), (s, m))
PASS(C_DigestKey, s, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o), (s, o))
PASS(C_Verify, s, (CK_SESSION_HANDLE s, CK_BYTE_PTR in, CK_ULONG n, CK_BYTE_PTR sig, CK_ULONG m), (s, in, n, sig, m))
PASS(C_WaitForSlotEvent, 0, (CK_FLAGS a, CK_SLOT_ID_PTR b, CK_VOID_PTR d), (a, b, d))
IN_OUT(C_EncryptUpdate)
IN_OUT(C_DecryptUpdate)
IN_OUT(C_Digest)
IN_OUT(C_SignRecover)
IN_OUT(C_VerifyRecover)
IN_OUT(C_DigestEncryptUpdate)
IN_OUT(C_DecryptDigestUpdate)
IN_OUT(C_SignEncryptUpdate)
IN_OUT(C_DecryptVerifyUpdate)
IN(C_InitPIN)
IN(C_DigestUpdate)
IN(C_SignUpdate)
IN(C_VerifyUpdate)
IN(C_VerifyFinal)
IN(C_SeedRandom)
IN(C_GenerateRandom)
OUT(C_GetOperationState)
OUT(C_EncryptFinal)
OUT(C_DecryptFinal)
OUT(C_DigestFinal)
OUT(C_SignFinal)
ONLY(C_Logout)
ONLY(C_FindObjectsFinal)
ONLY(C_GetFunctionStatus)
ONLY(C_CancelFunction)

// open maps the control file and loads the real module.
static CK_RV open_real(void) {
	const char *path = getenv("TANDEM_FAULT");
	if (path == NULL) return CKR_GENERAL_ERROR;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) return CKR_GENERAL_ERROR;
	ctl = mmap(NULL, sizeof *ctl, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (ctl == MAP_FAILED) return CKR_GENERAL_ERROR;
	void *module = dlopen(ctl->module, RTLD_NOW | RTLD_LOCAL);
	if (module == NULL) return CKR_GENERAL_ERROR;
	CK_C_GetFunctionList all = (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
	return all == NULL ? CKR_GENERAL_ERROR : all(&real);
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out) {
	if (out == NULL) return CKR_ARGUMENTS_BAD;
	if (real == NULL) {
		CK_RV rv = open_real();
		if (rv != CKR_OK) return rv;
		list.version = real->version;
		if (ctl->major) {
			list.version.major = ctl->major;
			list.version.minor = ctl->minor;
		}
#define CK_PKCS11_FUNCTION_INFO(name) list.name = f_##name;
#define f_C_GetFunctionList C_GetFunctionList
#include "pkcs11f.h"
		ctl->functions = FUNCTIONS;
	}
	*out = &list;
	return CKR_OK;
}
