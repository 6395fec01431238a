"use strict"
// Runs undersign against a service of version 2. Reads from standard input
//   {url, name, uuid, issuer (PEM), steps: [{login|choose|sign|contain: person, ...}]}
// and writes an array of what came of each step.
const fs = require("fs")
const crypto = require("crypto")
const Hades = require("undersign")
const SmartId = require("undersign/lib/smart_id")
const Certificate = require("undersign/lib/certificate")
const Certificates = require("undersign/lib/certificates")
const Asic = require("undersign/lib/asic")

const {url, name, uuid, issuer, steps} = JSON.parse(fs.readFileSync(0, "utf8"))
const smartId = new SmartId(url, {user: name, password: uuid})
const hades = new Hades({certificates: new Certificates([Certificate.parse(Buffer.from(issuer))])})
const sha256 = data => crypto.createHash("sha256").update(data).digest()

// request returns what version 2 asks for and undersign has no name for.
const request = step => ({
  certificateLevel: "QUALIFIED",
  allowedInteractionsOrder: [{type: step.interaction, [step.interaction.startsWith("confirm") ? "displayText200" : "displayText60"]: "Log in to Tree Bank"}],
})

// wait asks again as long as the session is running, with a time limit so short that it
// sometimes is.
async function wait(session) {
  for (;;) {
    const result = await smartId.wait(session, 30)
    if (result != null) return result
  }
}

const about = cert => ({subject: Object.assign({}, ...cert.subject), document: cert.smartId, level: cert.level})

const run = {
  async login(step) {
    const text = crypto.randomBytes(32)
    const session = await smartId.authenticate(step.person, sha256(text), request(step))
    const [cert, signature] = await wait(session)
    return {...about(cert), signed: cert.hasSigned(text, signature), code: SmartId.verification(sha256(text))}
  },
  async choose(step) {
    return about(await wait(await smartId.certificate(step.person)))
  },
  async sign(step) {
    const cert = await wait(await smartId.certificate(step.person))
    const [again, signature] = await wait(await smartId.sign(cert, sha256("contract"), request(step)))
    return {...about(again), signed: again.hasSigned("contract", signature), same: cert.toString("hex") == again.toString("hex"), certificate: cert.toString("pem"), signature: signature.toString("base64")}
  },
  // contain makes an ASiC-E container with a XAdES signature and an OCSP answer.
  async contain(step) {
    const cert = await wait(await smartId.certificate(step.person))
    const xades = hades.new(cert, [{path: "contract.txt", type: "text/plain", hash: sha256("contract")}])
    const [, signature] = await wait(await smartId.sign(cert, xades.signableHash, request(step)))
    xades.setSignature(signature)
    const ocsp = await hades.ocsp(cert)
    xades.setOcspResponse(ocsp)
    const asic = new Asic()
    asic.add("contract.txt", "contract", "text/plain")
    asic.addSignature(xades)
    fs.writeFileSync(step.file, await asic.toBuffer())
    fs.writeFileSync(step.xades, String(xades))
    return {...about(cert), ocsp: ocsp.certificates.map(c => c.status)}
  },
}

;(async () => {
  const out = []
  for (const step of steps) {
    try {
      out.push(await run[step.do](step))
    } catch (err) {
      out.push({error: err.code, message: err.message})
    }
  }
  process.stdout.write(JSON.stringify(out))
})()
