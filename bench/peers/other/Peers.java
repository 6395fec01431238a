import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.HexFormat;
import java.util.Map;
import java.util.HashMap;

/**
 * What java.security.Signature takes, for bench/peers: see peers.c, whose commands it has.
 *
 *   info                        ok VERSION
 *   load SLOT sign KEY MESSAGE  ok SIGNATURE
 *   run SLOT COUNT              ok NANOSECONDS
 *
 * The time is the thread's processor time: what compiles and collects garbage runs on others.
 */
public class Peers {
    static final HexFormat HEX = HexFormat.of();
    static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

    record Job(Signature signature, PrivateKey key, byte[] message) {
        byte[] work() throws GeneralSecurityException {
            signature.initSign(key);
            signature.update(message);
            return signature.sign();
        }
    }

    static final Map<String, Job> jobs = new HashMap<>();

    static String answer(String[] word) throws GeneralSecurityException {
        if (word.length == 1 && word[0].equals("info")) return "Java " + System.getProperty("java.version");
        if (word.length == 5 && word[0].equals("load") && word[2].equals("sign")) {
            PrivateKey key = KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(HEX.parseHex(word[3])));
            Job job = new Job(Signature.getInstance("SHA256withRSA"), key, HEX.parseHex(word[4]));
            byte[] signature = job.work();
            // Until it is compiled.
            for (long began = System.nanoTime(); System.nanoTime() - began < 200_000_000L; ) job.work();
            jobs.put(word[1], job);
            return HEX.formatHex(signature);
        }
        if (word.length == 3 && word[0].equals("run") && jobs.containsKey(word[1])) {
            Job job = jobs.get(word[1]);
            int count = Integer.parseInt(word[2]);
            if (count < 1) throw new IllegalArgumentException("count");
            long began = THREADS.getCurrentThreadCpuTime();
            for (int i = 0; i < count; i++) job.work();
            return Long.toString(THREADS.getCurrentThreadCpuTime() - began);
        }
        throw new IllegalArgumentException("unknown command");
    }

    public static void main(String[] args) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null; ) {
            String out;
            try {
                out = "ok " + answer(line.trim().split(" +"));
            } catch (GeneralSecurityException | RuntimeException e) {
                out = "error " + e;
            }
            System.out.println(out.replace('\n', ' '));
        }
    }
}
