/* The rules of the protocol: counting, retries, Cancel, copies, crashes.

   An owner has one phone and makes a few requests, with the right PIN or a wrong one. The
   network may lose, repeat, delay and reorder what it likes, without bound: what was sent
   once may arrive at any node at any time, any number of times. Phone and nodes may crash
   at any point, and a node's clock may run ahead. With COPIES, a thief copies the phone's
   storage at moments of his choice. He knows all numbers and chains; he lacks the PIN,
   though a guess of his may be right. Numbers in comments at the right are the checks of
   docs/protocol.md, section 5.

   A request, and the next token that it brings, are named by a small number: 0 is the
   enrolment, 1 to OPS are the owner's requests, T is any of the thief's. Hashes do not
   collide; MACs, signatures and answers to a Cancel or a Report are not forged.

   Not here: enrolment, HPKE keys, the hardware key, batches, recovery, events. To the
   server, a change of PIN is a signature. */

#ifndef OPS
#define OPS 3               /* requests of the owner's; the last is made in calm only */
#endif
#ifndef COPIES
#define COPIES 0            /* how often the thief may copy the storage */
#endif
#ifndef MOVES
#define MOVES 2             /* requests of the thief's that are no wrong guess */
#endif
#ifndef FORGE
#define FORGE 1             /* 0: he forges no answers under a reply key that he copied */
#endif
#ifndef NODES
#define NODES 2
#endif
#ifndef TRIES
#define TRIES 2             /* wrong PINs up to a lock */
#endif
#ifndef ROUNDS
#define ROUNDS 2            /* locks; the last is for ever */
#endif
#define T (OPS+1)
#define CANCEL(i) (8+(i))   /* the message that cancels request i */
#define REPORT 15           /* the message that reports a copy */

/* Answers; the first three are fates. LAST: wrong, and no try is left. UNSEEN: locked or
   expired, that is, not looked at. */
#define RIGHT 1
#define WRONG 2
#define CANCELLED 3
#define LAST 4
#define SUPERSEDED 5
#define DESTROYED 6
#define UNSEEN 7
#define HAS(set, x) (((set) >> (x)) & 1)

/* Chains are equal exactly if the same requests were settled with the same fates. No phone
   of the owner's can have one with a request of the thief's in it. */
#define FOREIGN -1
#define NEXT(chain, i, fate) ((i) == T || (chain) == FOREIGN -> FOREIGN : (chain)*32 + (i)*4 + (fate))

typedef Request { byte number, token, next, names, at; int chain; bool refresh, cancel, right }
typedef Record { byte number, last, fate, token, wrong, at; bool dead; int chain }
typedef Phone { byte number, token, pending; bool mark, superseded, dead; int chain }

Request req[OPS+2];
Record rec;                 /* what the store has */
byte version;               /* a write succeeds only if nobody wrote since the load */
Phone phone;                /* what the phone has saved */
byte made;                  /* requests that the owner has made */
byte now;                   /* moves on when a lock ends: a lock outlives a challenge (section 13) */
int wire;                   /* all that was sent */
byte heard, heardCall;      /* answers under way: to the pending request; to the call */
bool calling;               /* in a Cancel or Report, whose reply key is in memory only */
bool calm;                  /* from here on nothing fails, and what is sent arrives */
byte atWork;                /* nodes */

/* What really happened, for the properties. Nobody decides by it. */
byte fate[OPS+2], believed[OPS+2];  /* of each request, at the server and on the phone */
bool has;                   /* the phone has the signature that it asked for last */
bool copied, used, proved;  /* there is a copy; it was used; the owner's PIN or Refresh came after it */
byte copies, moves, tokens, keys, first;  /* the thief's; the owner's first request after the copy */
byte guesses, waits;        /* wrong PINs that the thief was told of; locks waited out since the copy */
bool lucky, locked;         /* a guess of his was right; a lock began after the copy */

#define TOKEN(n) HAS(tokens, n) -> i = n
#define WANTED (phone.dead -> 0 : (phone.superseded -> REPORT : (calling -> CANCEL(phone.pending) : phone.pending)))
#define ARRIVES(n) HAS(wire, n) && (!calm || (n == WANTED && !(calling -> heardCall : heard))) -> m = n
#define FORGED (!calm && phone.pending && HAS(keys, phone.pending))   /* the thief has the reply key */
#define LOCKED(c) (c.wrong > 0 && c.wrong % TRIES == 0)

inline load() {
    v = version; r.number = rec.number; r.last = rec.last; r.fate = rec.fate; r.token = rec.token;
    r.wrong = rec.wrong; r.at = rec.at; r.dead = rec.dead; r.chain = rec.chain
}
inline store() {
    version++; rec.number = r.number; rec.last = r.last; rec.fate = r.fate; rec.token = r.token;
    rec.wrong = r.wrong; rec.at = r.at; rec.dead = r.dead; rec.chain = r.chain
}
inline answer(c) { code = c; goto weighed }
inline judge() {            /* a write, against what must hold */
    assert(copied || !alarm);                       /* no false alarm */
    if
    :: f != 0 ->
        assert(q == T || !used);                    /* a copy that was used shuts the owner out */
        assert(q != T || !proved);                  /* the owner's proof shuts the copies out */
        assert(x == T || fate[x] == 0);             /* one fate and one count for a request */
        i = 1;
        do
        :: q != T && i < q -> assert(believed[i] == fate[i]); i++   /* a lie shuts the phone out */
        :: else -> break
        od;
        if :: x == T -> used = true :: else -> fate[x] = f fi;
        proved = proved || (copied && q != T && q >= first && f == RIGHT);
        locked = locked || (copied && f == WRONG && LOCKED(r))
    :: else
    fi;
    if :: r.dead -> tokens = 0; keys = 0; moves = 0; first = 0; proved = false :: else fi   /* nothing is left to steal */
}

inline tell() {             /* what nobody hears was lost, or the node has crashed */
    printf("step: deliver %d: %d, %d left, at %d live %d\n", m, code, TRIES*ROUNDS - r.wrong, t, live);
    if
    :: m == T && (code == WRONG || code == LAST) && !lucky -> guesses++;
        assert(guesses <= TRIES*(waits+1) && guesses <= TRIES*ROUNDS && (locked || guesses < TRIES))
    :: m == T && code == RIGHT && !cancel && !req[T].refresh -> lucky = true
    :: m != T && m == phone.pending -> heard = heard | (1 << code);
        assert(code > CANCELLED || fate[m] == code)     /* what is told was counted before */
    :: m > 8 && calling && m == WANTED -> heardCall = heardCall | (1 << code)
    :: else
    fi
}

/* The thief knows what fits; what does not fit destroys the key or is refused. */
inline invent() {
    req[T].number = rec.number+1; req[T].chain = rec.chain; req[T].at = now; req[T].names = T;
    if :: TOKEN(0) :: TOKEN(1) :: TOKEN(2) :: TOKEN(3) :: TOKEN(4) :: TOKEN(5) fi; req[T].token = i;
    if
    :: true                                             /* a guess, which is wrong */
    :: moves < MOVES -> moves++;
        if
        :: req[T].right = true :: req[T].refresh = true :: req[T].cancel = true
        :: phone.pending && req[phone.pending].number == rec.number+1 -> req[T].cancel = true; req[T].names = phone.pending
        fi;
        if :: TOKEN(0) :: TOKEN(1) :: TOKEN(2) :: TOKEN(3) :: TOKEN(4) :: TOKEN(5) :: req[T].cancel -> i = 0 fi; req[T].next = i
    fi; i = 0;
    printf("step: thief %d %d, next %d, token %d of %d\n", req[T].right + 2*req[T].refresh + 4*req[T].cancel,
        req[T].names, req[T].next, req[T].token, (HAS(tokens, rec.token) -> rec.token : req[T].token))
}

active [NODES] proctype Node() {
    Record r;                                           /* as it was loaded */
    byte v, m, q, x, t, f, code, i;
    bool cancel, live, late, write, alarm;
end:
    do :: atomic {
        if
        :: ARRIVES(1) :: ARRIVES(2) :: ARRIVES(3) :: ARRIVES(4) :: ARRIVES(5)
        :: ARRIVES(CANCEL(1)) :: ARRIVES(CANCEL(2)) :: ARRIVES(CANCEL(3)) :: ARRIVES(CANCEL(4)) :: ARRIVES(REPORT)
        :: !calm && copied && !rec.dead -> m = T; invent()
        fi;
        q = (m == REPORT -> 0 : (m > 8 -> m-8 : m)); x = req[q].names; cancel = m > 8 || req[q].cancel;
        t = now; live = (t == req[q].at);
        if :: true :: !calm && m != T -> live = false :: !calm && m != T -> live = false; late = true fi;   /* late: by a day */
        atWork++; load();
weigh:  f = 0; write = false; alarm = false;
        if :: m == REPORT -> alarm = !r.dead; write = !r.dead; r.dead = true; answer(DESTROYED) :: else fi;    /* 7 */
        if :: req[q].number == r.number && x == r.last -> if                                                   /* 8 */
            :: r.fate != RIGHT || (req[q].refresh && !cancel) -> answer(r.fate)
            :: else -> answer((r.dead -> DESTROYED : (cancel || !late -> RIGHT : UNSEEN)))
            fi :: else fi;
        if :: req[q].number == r.number && !r.dead && (cancel || live) -> goto clone :: else fi;               /* 9 */
        if :: req[q].number <= r.number -> answer(SUPERSEDED) :: else fi;                                      /* 10 */
        if :: r.dead -> answer(DESTROYED) :: else fi;                                                          /* 11 */
        if :: !live && !cancel -> answer(UNSEEN) :: else fi;                                                   /* 11 */
        if :: req[q].number == r.number+1 && req[q].chain == r.chain && req[q].token == r.token                /* 12 */
           :: else -> goto clone fi;
        if :: cancel -> f = CANCELLED; goto settle :: else fi;                                                 /* 13 */
        if :: req[q].refresh -> f = RIGHT; goto settle :: else fi;                                             /* 13 */
        if :: LOCKED(r) && t <= r.at -> write = (t < r.at); r.at = t; answer(UNSEEN) :: else fi;               /* 15 */
        if :: req[q].right -> f = RIGHT; r.wrong = 0 :: else -> f = WRONG; r.wrong++ fi; r.at = t;             /* 16 */
settle: r.number++; r.last = x; r.fate = f; r.chain = NEXT(r.chain, x, f); write = true; code = f;             /* 17 */
        if :: f == RIGHT -> r.token = req[q].next :: else fi;
        if :: f == WRONG && r.wrong == TRIES*ROUNDS -> r.dead = true; r.fate = LAST; code = LAST :: else fi;
        goto weighed;
clone:  alarm = true; write = true; r.dead = true; code = DESTROYED;
weighed:
        if :: !write -> tell(); goto done :: write && m == T -> goto written :: else fi
    };
    atomic {
        if
        :: v != version -> load(); goto weigh           /* somebody else was faster */
        :: v == version ->
written:    judge(); store(); tell()                                                                           /* 18 */
        :: !calm                                        /* a crash */
        fi;
done:   atWork--;
        if :: m == T -> req[T].number = 0; req[T].token = 0; req[T].next = 0; req[T].names = 0; req[T].at = 0;
                req[T].chain = 0; req[T].refresh = false; req[T].cancel = false; req[T].right = false :: else fi;
        m = 0; q = 0; x = 0; t = 0; f = 0; v = 0; code = 0; i = 0;
        cancel = false; live = false; late = false; write = false; alarm = false;
        r.number = 0; r.last = 0; r.fate = 0; r.token = 0; r.wrong = 0; r.at = 0; r.dead = false; r.chain = 0
    } od
}

inline hear(set) {          /* one of the answers that are under way */
    if
    :: HAS(set, 1) -> c = 1 :: HAS(set, 2) -> c = 2 :: HAS(set, 3) -> c = 3 :: HAS(set, 4) -> c = 4
    :: HAS(set, 5) -> c = 5 :: HAS(set, 6) -> c = 6 :: HAS(set, 7) -> c = 7
    fi
}
inline believe() {          /* the fate of the pending request, as the phone believes */
    believed[phone.pending] = c; phone.number++; phone.chain = NEXT(phone.chain, phone.pending, c);
    if :: c == RIGHT -> phone.token = phone.pending :: else fi;
    phone.pending = 0; phone.mark = false; heard = 0; keys = 0
}
inline expose() {           /* the same save erases token and lockbox, and a Report follows */
    assert(copied || (c != SUPERSEDED && c != CANCELLED && rec.wrong == TRIES*ROUNDS));
    phone.superseded = true; phone.pending = 0; phone.mark = false; heard = 0; keys = 0; phone.token = 0; phone.chain = 0; phone.number = 0;
    calling = true; wire = wire | (1 << REPORT)
}

inline cancel() {           /* the mark is saved first */
    phone.mark = true; calling = true; wire = wire | (1 << CANCEL(phone.pending))
}

/* What a step saves is saved before it sends anything. A request that is saved and not sent is one that
   the network has lost; so is what a call waits for when the phone crashes. */
active proctype Owner() {
    byte c;
end:
    do
    :: atomic { !phone.superseded && !phone.pending && (made < OPS-1 || (calm && made < OPS)) -> /* a request is made and saved */
        made++; has = false; phone.pending = made; req[made].names = made; req[made].next = made; req[made].at = now;
        req[made].number = phone.number+1; req[made].token = phone.token; req[made].chain = phone.chain;
        if :: req[made].refresh = true :: req[made].right = true :: skip fi;
        wire = wire | (1 << made);
        printf("step: make %d %d number %d\n", made, (req[made].refresh -> 2 : req[made].right), phone.number+1) }
    :: atomic { phone.pending && !calling && (phone.mark || !calm) -> cancel(); printf("step: cancel %d\n", phone.pending) }
    :: atomic { phone.superseded && !phone.dead && !calling -> calling = true; wire = wire | (1 << REPORT); printf("step: report\n") }
    :: atomic { calling && !calm -> calling = false; heardCall = 0; printf("step: crash\n") }      /* or patience ends */
    :: atomic { phone.pending && !calling && (heard || FORGED) -> 
        if :: heard -> hear(heard)
           :: FORGED -> if :: req[phone.pending].refresh -> c = RIGHT :: c = WRONG :: c = CANCELLED :: c = LAST
                :: c = SUPERSEDED :: c = DESTROYED :: c = UNSEEN fi; printf("step: forged\n")
        fi;
        printf("step: hear %d of %d\n", c, phone.pending);
        if
        :: c == RIGHT -> has = !req[phone.pending].refresh; believe()
        :: c == WRONG || (c == CANCELLED && phone.mark) -> believe()
        :: c == UNSEEN -> heard = heard & ~(1 << UNSEEN); cancel()
        :: else -> expose()
        fi; c = 0 }
    :: atomic { calling && heardCall -> hear(heardCall); printf("step: hear %d of the call\n", c);
        if
        :: phone.superseded -> assert(c == DESTROYED); phone.dead = true
        :: !phone.superseded && c > CANCELLED -> expose(); phone.dead = (c != SUPERSEDED)
        :: !phone.superseded && c <= CANCELLED -> believe()
        fi; calling = phone.superseded && !phone.dead; heardCall = 0; c = 0 }
    od
}

/* Locks end. */
active proctype Time() {
end:
    do
    :: atomic { !calm && !rec.dead && LOCKED(rec) && now == rec.at -> now++; waits = waits + copied; printf("step: hour\n") }
    od
}

/* The weather. Where nodes and phone have crashed and what was under way is lost, it may turn calm. */
active proctype Weather() {
    atomic { !atWork && !calling -> calm = true; heard = 0; printf("step: calm\n") }
}

active proctype Thief() {
end:
    do
    :: atomic { !calm && copies < COPIES && !phone.superseded && !rec.dead -> printf("step: copy\n"); copies++; copied = true; proved = false; first = made+1;
        tokens = tokens | (1 << phone.token) | (1 << T);
        if :: phone.pending -> tokens = tokens | (1 << phone.pending); keys = FORGE << phone.pending :: else fi }
    od
}

ltl obtained { [] ((calm && phone.pending && !phone.mark && fate[phone.pending] == RIGHT && !req[phone.pending].refresh) -> <> has) }
ltl resolved { [] (calm -> <> (!phone.pending && (!phone.superseded || phone.dead))) }
ltl noticed  { [] ((calm && used) -> <> rec.dead) }
