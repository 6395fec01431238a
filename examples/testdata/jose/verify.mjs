// Verifies a JWS with jose: standard input is {"key": SubjectPublicKeyInfo in PEM,
// "token": a compact JWS}, the argument the one algorithm that is allowed.
import { readFileSync } from "node:fs";
import { compactVerify, importSPKI } from "jose";

const alg = process.argv[2];
const { key, token } = JSON.parse(readFileSync(0, "utf8"));
try {
  const { payload } = await compactVerify(token, await importSPKI(key, alg), { algorithms: [alg] });
  process.stdout.write(payload);
} catch (e) {
  console.error(e.code, e.message);
  process.exit(1);
}
