const { createHmac, timingSafeEqual } = require("node:crypto");

const SIGNATURES = ["x-minivoice-signature", "x-minivoice-signature-previous"]; // the second while a secret is replaced

// Tells whether MiniVoice signed `body`, a Buffer of the raw bytes as they came, with `secret`, just now.
function isGenuine(secret, headers, body, toleranceSeconds = 300) {
  if (!secret) throw new Error("without a secret anybody could sign");
  const timestamp = headers["x-minivoice-timestamp"] ?? "";
  const digest = createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest("hex");
  const expected = Buffer.from(`v1=${digest}`);
  const isSigned = SIGNATURES.some((name) => {
    const claimed = Buffer.from(headers[name] ?? "");
    return claimed.length === expected.length && timingSafeEqual(claimed, expected);
  });
  return isSigned && Math.abs(Date.now() / 1000 - Number(timestamp)) <= toleranceSeconds;
}

module.exports = { isGenuine };
