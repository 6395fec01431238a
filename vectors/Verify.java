import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.crypto.Cipher;

/**
 * Verifies every signature of complete.json and complete_composite.json with the JDK alone:
 * {@code java Verify.java [folder]}. The vectors have digests, not
 * messages, and the JDK signs messages: so the JDK recovers EM with the public key, and the
 * two verifications of RFC 8017, section 9, are written here.
 */
public class Verify {
    static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args.length > 0 ? args[0] : ".");
        int count = 0;
        for (String name : List.of("complete", "complete_composite")) {
            Map<?, ?> file = (Map<?, ?>) new Json(Files.readString(dir.resolve(name + ".json"))).read();
            int before = count;
            for (Object g : (List<?>) file.get("testGroups")) {
                Map<?, ?> group = (Map<?, ?>) g;
                if (!group.get("type").equals("Complete")) {
                    continue;
                }
                RSAPublicKey key = key((String) group.get("publicKeyPem"));
                for (Object t : (List<?>) group.get("tests")) {
                    Map<?, ?> test = (Map<?, ?>) t;
                    byte[] signature = hex(test, "sig");
                    if (!verify(key, test, signature)) {
                        fail(name, test, "does not verify");
                    }
                    for (int i : new int[] {0, signature.length / 2, signature.length - 1}) {
                        byte[] wrong = signature.clone();
                        wrong[i] ^= 1;
                        if (verify(key, test, wrong)) {
                            fail(name, test, "verifies with a changed byte " + i);
                        }
                    }
                    count++;
                }
            }
            if (count == before) {
                throw new IOException(name + ": no signature");
            }
        }
        System.out.println("java: " + count + " signatures verified");
    }

    static void fail(String name, Map<?, ?> test, String what) throws IOException {
        throw new IOException(name + " " + test.get("tcId") + ": " + what);
    }

    static byte[] hex(Map<?, ?> test, String field) {
        return HEX.parseHex((String) test.get(field));
    }

    static RSAPublicKey key(String pem) throws Exception {
        String body = pem.replaceAll("-----[^-]+-----", "").replaceAll("\\s", "");
        PublicKey key = KeyFactory.getInstance("RSA").generatePublic(new X509EncodedKeySpec(Base64.getDecoder().decode(body)));
        return (RSAPublicKey) key;
    }

    static boolean verify(RSAPublicKey key, Map<?, ?> test, byte[] signature) throws Exception {
        int k = (key.getModulus().bitLength() + 7) / 8;
        if (signature.length != k || new BigInteger(1, signature).compareTo(key.getModulus()) >= 0) {
            return false;
        }
        Cipher rsa = Cipher.getInstance("RSA/ECB/NoPadding");
        rsa.init(Cipher.ENCRYPT_MODE, key);
        byte[] em = rsa.doFinal(signature);
        String hash = (String) test.get("hash");
        byte[] digest = hex(test, "digest");
        if (test.get("padding").equals("PSS")) {
            return pss(em, key.getModulus().bitLength() - 1, hash, digest, hex(test, "salt").length);
        }
        return Arrays.equals(em, pkcs1(k, hash, digest));
    }

    /** RFC 8017, section 9.2. */
    static byte[] pkcs1(int k, String hash, byte[] digest) {
        int arc = Map.of("SHA-256", 1, "SHA-384", 2, "SHA-512", 3, "SHA3-256", 8, "SHA3-384", 9, "SHA3-512", 10).get(hash);
        byte[] info = {0x30, (byte) (17 + digest.length), 0x30, 0x0d, 0x06, 0x09, 0x60, (byte) 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            (byte) arc, 0x05, 0x00, 0x04, (byte) digest.length};
        byte[] em = new byte[k];
        Arrays.fill(em, (byte) 0xff);
        em[0] = 0;
        em[1] = 1;
        int at = k - digest.length - info.length;
        em[at - 1] = 0;
        System.arraycopy(info, 0, em, at, info.length);
        System.arraycopy(digest, 0, em, k - digest.length, digest.length);
        return em;
    }

    /** RFC 8017, section 9.1.2, steps 3 to 14. */
    static boolean pss(byte[] padded, int emBits, String hash, byte[] mHash, int sLen) throws Exception {
        int emLen = (emBits + 7) / 8;
        for (int i = 0; i < padded.length - emLen; i++) {
            if (padded[i] != 0) {
                return false;
            }
        }
        byte[] em = Arrays.copyOfRange(padded, padded.length - emLen, padded.length);
        MessageDigest md = MessageDigest.getInstance(hash);
        int hLen = md.getDigestLength();
        int dbLen = emLen - hLen - 1;
        int unused = 8 * emLen - emBits;
        if (em[emLen - 1] != (byte) 0xbc || (em[0] & 0xff) >> (8 - unused) != 0 && unused > 0) {
            return false;
        }
        byte[] h = Arrays.copyOfRange(em, dbLen, dbLen + hLen);
        byte[] db = Arrays.copyOf(em, dbLen);
        for (int counter = 0, at = 0; at < dbLen; counter++) {
            md.update(h);
            byte[] mask = md.digest(new byte[] {(byte) (counter >> 24), (byte) (counter >> 16), (byte) (counter >> 8), (byte) counter});
            for (int i = 0; i < hLen && at < dbLen; i++, at++) {
                db[at] ^= mask[i];
            }
        }
        db[0] &= (byte) (0xff >> unused);
        for (int i = 0; i < dbLen - sLen - 1; i++) {
            if (db[i] != 0) {
                return false;
            }
        }
        if (db[dbLen - sLen - 1] != 1) {
            return false;
        }
        md.update(new byte[8]);
        md.update(mHash);
        md.update(db, dbLen - sLen, sLen);
        return Arrays.equals(md.digest(), h);
    }

    /** As much of JSON as the vectors use: no null, no fraction, no escapes but of newline, quote and backslash. */
    static class Json {
        final String text;
        int at;

        Json(String text) {
            this.text = text;
        }

        char next() {
            while (Character.isWhitespace(text.charAt(at))) {
                at++;
            }
            return text.charAt(at);
        }

        void expect(char c) throws IOException {
            if (next() != c) {
                throw new IOException("JSON: expected " + c + " at " + at);
            }
            at++;
        }

        Object read() throws IOException {
            switch (next()) {
                case '{':
                    return object();
                case '[':
                    return array();
                case '"':
                    return string();
                default:
                    int from = at;
                    while ("-0123456789truefalse".indexOf(text.charAt(at)) >= 0) {
                        at++;
                    }
                    String word = text.substring(from, at);
                    return word.equals("true") || word.equals("false") ? (Object) Boolean.valueOf(word) : (Object) Long.valueOf(word);
            }
        }

        Map<String, Object> object() throws IOException {
            Map<String, Object> out = new LinkedHashMap<>();
            expect('{');
            while (next() != '}') {
                String name = string();
                expect(':');
                out.put(name, read());
                if (next() != '}') {
                    expect(',');
                }
            }
            at++;
            return out;
        }

        List<Object> array() throws IOException {
            List<Object> out = new ArrayList<>();
            expect('[');
            while (next() != ']') {
                out.add(read());
                if (next() != ']') {
                    expect(',');
                }
            }
            at++;
            return out;
        }

        String string() throws IOException {
            expect('"');
            StringBuilder out = new StringBuilder();
            for (char c = text.charAt(at++); c != '"'; c = text.charAt(at++)) {
                if (c == '\\') {
                    c = text.charAt(at++);
                    c = c == 'n' ? '\n' : c;
                }
                out.append(c);
            }
            return out.toString();
        }
    }
}
