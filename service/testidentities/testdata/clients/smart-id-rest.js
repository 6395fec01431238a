"use strict"
// Runs smart-id-rest against a service of version 1. Reads from standard input
//   {host, path, name, uuid, issuers, steps: [{do: login|choose|sign, country, number}]}
// and writes an array of what came of each step.
const fs = require("fs")
const crypto = require("crypto")
const SmartId = require("smart-id-rest")

const {host, path, name, uuid, issuers, steps} = JSON.parse(fs.readFileSync(0, "utf8"))
const client = new SmartId()
client.init({hostname: host, apiPath: path, relyingPartyUUID: uuid, replyingPartyName: name, issuers})

// finish asks again as long as the session is running.
async function finish(ask) {
  for (;;) {
    const data = await ask()
    if (data.state !== "RUNNING") return data
  }
}

const run = {
  async login(step) {
    const s = await client.authenticate(step.number, step.country)
    // It checks issuer, dates and signature, and throws.
    const data = await finish(() => client.statusAuth(s.sessionId, s.sessionHash, 30000))
    return {end: data.result.endResult, document: data.result.documentNumber, person: data.personalInfo, code: s.challengeID}
  },
  async choose(step) {
    const answer = await client.getUserCertificate(step.number, step.country)
    if (typeof answer != "string") return {end: answer.data.result.endResult}
    return {end: "OK", person: await client.getCertUserData(answer)}
  },
  async sign(step) {
    const hash = crypto.createHash("sha256").update("contract").digest("base64")
    const s = await client.signature(step.number, step.country, hash)
    const data = await finish(() => client.statusSign(s.sessionId, 30000))
    const out = {end: data.result.endResult, code: s.challengeID}
    if (data.cert) {
      const key = new crypto.X509Certificate(Buffer.from(data.cert.value, "base64")).publicKey
      out.signed = crypto.verify("sha256", Buffer.from("contract"), key, Buffer.from(data.signature.value, "base64"))
    }
    return out
  },
}

;(async () => {
  const out = []
  for (const step of steps) {
    try {
      out.push(await run[step.do](step))
    } catch (err) {
      out.push({error: String(err.code ?? ""), message: err.message})
    }
  }
  fs.writeSync(1, "\nRESULT" + JSON.stringify(out) + "\n") // its log is on standard output as well
})()
