import ee.tandem.mobile.*;
import java.io.*;
import java.lang.reflect.*;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.*;
import java.security.interfaces.ECPublicKey;
import java.security.spec.ECGenParameterSpec;
import java.util.*;

/**
 * Phones on a plain JVM, for jvm_test.go: a line for each call, and one for its outcome.
 *
 * In: the phone's number, the operation, and arguments: a name, "=", a letter for the type (s, i, b),
 * base64. Out: JSON, or "!" and what was thrown.
 */
public class Phones {
  /** A folder: what is saved is on the disk when save returns. */
  static final class Folder implements Storage {
    final Path folder;
    Folder(Path folder) { this.folder = folder; }

    public byte[] load(String name) throws Exception {
      Path p = folder.resolve(name);
      return Files.exists(p) ? Files.readAllBytes(p) : null;
    }

    public void save(String name, byte[] value) throws Exception {
      if (value == null) value = new byte[0];
      Path next = folder.resolve(name + ".new");
      try (FileChannel c = FileChannel.open(next, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
        for (ByteBuffer b = ByteBuffer.wrap(value); b.hasRemaining(); ) c.write(b);
        c.force(true);
      }
      Files.move(next, folder.resolve(name), StandardCopyOption.ATOMIC_MOVE);
      try (FileChannel c = FileChannel.open(folder)) { c.force(true); }
    }
  }

  /** What Android's Keystore would have. */
  static final class Keystore implements PlatformKeys {
    final byte[] storage = new byte[32];
    final KeyPair request;

    Keystore() throws Exception {
      new SecureRandom().nextBytes(storage);
      KeyPairGenerator g = KeyPairGenerator.getInstance("EC");
      g.initialize(new ECGenParameterSpec("secp256r1"));
      request = g.generateKeyPair();
    }

    public byte[] storageKey() { return storage; }

    public byte[] requestKey() {
      byte[] out = new byte[65];
      out[0] = 4;
      fill(out, 1, ((ECPublicKey) request.getPublic()).getW().getAffineX().toByteArray());
      fill(out, 33, ((ECPublicKey) request.getPublic()).getW().getAffineY().toByteArray());
      return out;
    }

    static void fill(byte[] out, int at, byte[] n) {
      for (int i = 0; i < 32 && i < n.length; i++) out[at + 31 - i] = n[n.length - 1 - i];
    }

    public byte[] signRequest(byte[] message) throws Exception {
      Signature s = Signature.getInstance("SHA256withECDSA");
      s.initSign(request.getPrivate());
      s.update(message);
      return s.sign();
    }
  }

  static final List<Phone> phones = new ArrayList<>();
  static final List<Folder> folders = new ArrayList<>();
  static final List<Keystore> keystores = new ArrayList<>();
  static byte[] config;

  static Phone start(int i) throws Exception {
    Config c = Mobile.readConfig(config);
    c.setPasses(1);
    c.setMemoryKiB(8);
    c.setLanes(1);
    return Mobile.newPhone(c, folders.get(i), keystores.get(i));
  }

  public static void main(String[] args) throws Exception {
    config = Files.readAllBytes(Path.of(args[0]));
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, true, "UTF-8");
    for (String line; (line = in.readLine()) != null; ) {
      try {
        out.println(answer(line.split(" "), Path.of(args[1])));
      } catch (Throwable e) {
        out.println("!" + e);
      }
    }
    System.exit(0); // threads of Go are no daemons
  }

  static String answer(String[] words, Path folder) throws Exception {
    if (words[1].equals("fresh")) {
      folders.add(new Folder(Files.createTempDirectory(folder, "phone")));
      keystores.add(new Keystore());
      phones.add(start(phones.size()));
      return String.valueOf(phones.size() - 1);
    }
    int i = Integer.parseInt(words[0]);
    if (words[1].equals("restart")) {
      phones.set(i, start(i));
      return "0";
    }
    Map<String, Object> args = new HashMap<>();
    for (String word : Arrays.copyOfRange(words, 2, words.length)) {
      int at = word.indexOf('=');
      byte[] value = Base64.getDecoder().decode(word.substring(at + 2));
      String text = new String(value, StandardCharsets.UTF_8);
      char type = word.charAt(at + 1);
      args.put(word.substring(0, at), type == 'b' ? value : type == 'i' ? (Object) Long.valueOf(text) : text);
    }
    Outcome o = call(phones.get(i), words[1], args);
    for (Map.Entry<String, Object> a : args.entrySet()) {
      if (a.getValue() instanceof byte[] pin && !Arrays.equals(pin, new byte[pin.length])) throw new IllegalStateException(a.getKey() + " is still in memory");
    }
    Map<String, Object> result = object(o);
    Object code = result.remove("code");
    return "{\"outcome\":" + json(code) + ",\"result\":" + json(result) + "}";
  }

  static String s(Map<String, Object> a, String name) { return (String) a.getOrDefault(name, ""); }
  static byte[] b(Map<String, Object> a, String name) { return (byte[]) a.get(name); }

  static Outcome call(Phone p, String op, Map<String, Object> a) throws Exception {
    switch (op) {
      case "enrol": return p.enrol(s(a, "code"), s(a, "label"), b(a, "pin1"), b(a, "pin2"));
      case "resumeEnrolment": return p.resumeEnrolment(b(a, "pin1"), b(a, "pin2"));
      case "ask": return p.ask(s(a, "label"));
      case "scan": return p.scan(s(a, "request"));
      case "approve": return p.approve(s(a, "request"), s(a, "device"), b(a, "pin"));
      case "home": return p.home();
      case "readHistory": return p.readHistory(s(a, "before"));
      case "changePIN": return p.changePIN(s(a, "key"), b(a, "oldPIN"), b(a, "newPIN"));
      case "delete": return p.delete();
      case "forget": return p.forget();
      case "poll": return p.poll((Long) a.getOrDefault("wait", 0L), s(a, "known"));
      case "open": return p.open(s(a, "session"));
      case "openLink": return p.openLink(s(a, "link"));
      case "choose": return p.choose(s(a, "session"), s(a, "code"));
      case "useAccount": return p.useAccount(s(a, "session"));
      case "sign": return p.sign(s(a, "session"), b(a, "pin"));
      case "refuse": return p.refuse(s(a, "session"), s(a, "screen"));
      case "resume": return p.resume();
      case "giveUp": return p.giveUp(s(a, "key"));
      case "status": return p.status();
      case "checkPIN":
        Outcome o = Mobile.checkPIN(b(a, "pin"), b(a, "other"));
        Arrays.fill(b(a, "pin"), (byte) 0);
        return o;
    }
    throw new IllegalArgumentException(op);
  }

  /** The fields and methods of a bound value that have something to say. */
  static Map<String, Object> object(Object v) throws Exception {
    Map<String, Object> out = new TreeMap<>();
    for (Method m : v.getClass().getDeclaredMethods()) {
      String name = m.getName();
      boolean own = Modifier.isPublic(m.getModifiers()) && !Modifier.isStatic(m.getModifiers()) && m.getParameterCount() == 0
          && m.getReturnType() != void.class && !Set.of("incRefnum", "hashCode", "toString").contains(name);
      if (!own) continue;
      if (name.startsWith("get")) name = name.substring(3);
      name = name.equals(name.toUpperCase()) ? name.toLowerCase() : name.substring(0, 1).toLowerCase() + name.substring(1);
      Object value = m.invoke(v);
      boolean empty = value == null || value.equals("") || value.equals(0L) || value.equals(false);
      if (!empty) out.put(name, value);
    }
    return out;
  }

  static String json(Object v) throws Exception {
    if (v instanceof String s) {
      StringBuilder b = new StringBuilder("\"");
      for (char c : s.toCharArray()) b.append(c < ' ' || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : c);
      return b.append('"').toString();
    }
    if (v instanceof Number || v instanceof Boolean) return v.toString();
    if (v instanceof byte[] b) return json(Base64.getEncoder().encodeToString(b));
    if (v instanceof History h) {
      StringJoiner j = new StringJoiner(",", "[", "]");
      for (long i = 0; i < h.len(); i++) j.add(json(object(h.at(i))));
      return j.toString();
    }
    Map<?, ?> members = v instanceof Map<?, ?> m ? m : object(v);
    StringJoiner j = new StringJoiner(",", "{", "}");
    for (Map.Entry<?, ?> e : members.entrySet()) j.add(json(e.getKey()) + ":" + json(e.getValue()));
    return j.toString();
  }
}
