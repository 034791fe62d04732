// What does the page of proofs say? Every text in Chinese and English.

import { KINDS } from "./words.js";

export const KIND_ORDER = Object.keys(KINDS);

export const kindName = (language, kind) => (kind ? KINDS[kind]?.[language === "zh" ? 0 : 1] ?? kind : "");

const COLOURS = { zh: { red: "红", yellow: "黄", green: "绿", grey: "灰" }, en: { red: "red", yellow: "yellow", green: "green", grey: "grey" } };

const NAMES = {
  zh: { block: "方格块的记录", "own record": "方格自己的记录", context: "当日算法背景", seal: "当日封存" },
  en: { block: "the block's record", "own record": "the square's own record", context: "the day's context", seal: "the day's seal" },
};
const PARTS = {
  zh: { inclusion: "在日志树中", signature: "检查点由可信公钥签名", anchor: "上链锚定", witnesses: "足够多的见证方签名", record: "可读的记录" },
  en: { inclusion: "is in the log's tree", signature: "checkpoint signed by the trusted key", anchor: "anchored on the chain", witnesses: "signed by enough witnesses", record: "readable" },
};

function stepName(language, name) {
  const zh = language === "zh";
  const [of, part] = name.split(": ");
  const day = /(chunks|seal) of (\S+)$/.exec(of);
  const subject = day?.[1] === "seal" ? (zh ? `${day[2]} 的封存` : `the seal of ${day[2]}`) : NAMES[language][of] ?? of;
  if (part) return `${subject}${zh ? "：" : ": "}${PARTS[language][part] ?? part}`;
  if (day?.[1] === "chunks") return zh ? `${day[2]} 的数据包哈希` : `hashes of the chunks of ${day[2]}`;
  const alone = {
    zh: { code: "方格的颜色与其字节相符", codes: "整块 1024 个代码与记录相符", "own record": "方格自己的记录说法相同", context: "所用模型与参数就是记录所指的", hash: "加盐哈希由这个数据包得出", chunk: "这个数据包计入了方格块", seal: "当日封存", document: "文件可读" },
    en: { code: "the colour is what the square's bytes say", codes: "the block's 1,024 codes are what its record states", "own record": "the square's own record says the same", context: "models and options are those that the record names", hash: "the salted hash is made of this chunk", chunk: "this chunk was counted in a block", seal: "the day's seal", document: "the file is readable" },
  };
  return alone[language][name] ?? name;
}

function detail(language, step) {
  const zh = language === "zh";
  if (step.name.endsWith("anchor")) {
    if (step.anchor !== "anchored") return zh ? "尚未上链" : "not on the chain yet";
    return zh ? `文件称：${step.detail}。本页不询问链；请用 roadcode audit check --rpc 核对。` : `the file says: ${step.detail}. This page asks no chain: check it with roadcode audit check --rpc.`;
  }
  if (step.name.startsWith("chunks of")) {
    if (step.ok === null) return zh ? `${step.count} 个；比记录时更多，当日尚未封存` : `${step.count}; more than when it was recorded, and the day is not sealed yet`;
    return zh ? `${step.count} 个加盐哈希` : `${step.count} salted hashes`;
  }
  if (step.name === "chunk") return zh ? `方格块 ${step.detail}，当日共 ${step.count} 个数据包` : `block ${step.detail}, which ${step.count} chunks passed on that day`;
  if (step.name === "seal" && step.ok === null) return zh ? `${step.detail} 尚未封存：结束 49 小时后再试` : `${step.detail} is not sealed yet: ask again 49 hours after its end`;
  return step.detail;
}

const TEXTS = {
  zh: {
    title: "审计",
    under: "从颜色到数据，可离线核对",
    lead: "每一种颜色背后都有记录。把证明带走，在任何地方核对：本页只用文件和您信任的公钥，在浏览器里计算，不询问服务器。",
    what: "要核对什么",
    cell: "方格编号（从本平台取证明）",
    fetch: "取来核对",
    file: "或：打开证明文件（.road-proof.json）",
    hash: "或：数据包的哈希（原始字节的 SHA-256，或加盐哈希）与它的业务日",
    trace: "追溯",
    trust: "您信任谁",
    key: "日志公钥（log.pub 的内容）",
    keyWhy: "公钥应由运营方以另一途径给您（纸面、电话）。不填则用文件自带的公钥：那只说明文件前后一致，谁都能写出来。",
    policy: "见证方与法定数量（策略文件的内容；不填则不核对见证方）",
    other: "English",
    checking: "核对中…",
    failed: "取不到：",
    badCell: "方格编号是一串数字，例如 4538783999459390。",
    badHash: "请输入 64 位十六进制哈希和业务日。",
    notJson: "这个文件不是证明文件（不是 JSON）。",
    insecure: "浏览器只在安全连接（https 或本机）下提供所需的计算。请用 https 打开，或用 roadcode audit check。",
    notReal: (banner) => `${banner}：不代表任何真实道路的现状`,
    holds: "问到的每一步都成立",
    holdsAlone: "文件前后一致，但没有给出可信公钥",
    holdsUnwitnessed: "未发现不符，但签名的见证人不够您要求的数目",
    holdsNothing: "没有任何签名可核对：尚未证明什么",
    broken: "有一步不成立：文件与记录不符",
    anchorOpen: "上链一步本页不核对（○）：需要询问链。",
    said: (doc, kind) => `方格 ${doc.cell}：${COLOURS.zh[doc.code.colour] ?? doc.code.colour}${doc.code.state === "confirmed" ? "（已确认）" : doc.code.state === "suspected" ? "（疑似）" : ""} ${kind}`,
    yes: "成立",
    no: "不成立",
    open: "未核对",
    hashes: (n) => `查看 ${n} 个哈希`,
    causedTitle: (day) => `这个数据包（${day}）之后发生了什么`,
    causedText: (blocks, changes, cases) => `它经过 ${blocks} 个方格块；此后那里有 ${changes} 次颜色变化${cases.length ? `，案件 ${cases.join("、")}` : ""}。这些是文件自己的说法，未核对。`,
    square: "方格", when: "时间", from: "原", to: "新", why: "原因",
    notProven: "它证明什么、不证明什么",
    chainText: "证明说的是：运营方在那一刻说过这句话，此后没有改过。它不证明测得准。一个运营方自己的链，不能作为反驳这个运营方的证据；各部门的见证和联盟链才能。",
  },
  en: {
    title: "Audit",
    under: "from a colour to its data, checked offline",
    lead: "Behind every colour there is a record. Take the proof away and check it anywhere: this page reckons in your browser, with the file and the key that you trust, and asks no server.",
    what: "What to check",
    cell: "A square's number (its proof is fetched from this platform)",
    fetch: "Fetch and check",
    file: "Or a proof that you were given (.road-proof.json)",
    hash: "Or a chunk's hash (SHA-256 of its bytes, or the salted one) and its service day",
    trace: "Trace",
    trust: "Whom you trust",
    key: "The log's public key (what stands in log.pub)",
    keyWhy: "The operator should give it to you by another way: on paper, by phone. Left empty, the key in the file is used: that shows that the file agrees with itself, and anybody could have written it.",
    policy: "Witnesses, and how many must sign (what stands in a policy file; left empty, no witness counts)",
    other: "中文",
    checking: "checking…",
    failed: "It could not be fetched:",
    badCell: "A square's number is digits only, such as 4538783999459390.",
    badHash: "Give a hash of 64 hex digits and the service day.",
    notJson: "This is not a proof: the file is not JSON.",
    insecure: "Browsers give what is needed here on secure connections only (https, or this machine). Open the page by https, or use roadcode audit check.",
    notReal: (banner) => `${banner}: this is no real road`,
    holds: "Every step that was asked holds",
    holdsAlone: "The file agrees with itself; no trusted key was given",
    holdsUnwitnessed: "Nothing contradicts it, but fewer witnesses signed than your policy asks for",
    holdsNothing: "No signature was there to check: nothing is proven yet",
    broken: "A step does NOT hold: the file is not what was recorded",
    anchorOpen: "The chain is not asked by this page (○).",
    said: (doc, kind) => `Square ${doc.cell}: ${doc.code.state === "none" ? "" : `${doc.code.state} `}${COLOURS.en[doc.code.colour] ?? doc.code.colour} ${kind}`,
    yes: "holds",
    no: "does not hold",
    open: "not checked",
    hashes: (n) => `show ${n} hashes`,
    causedTitle: (day) => `What followed from this chunk of ${day}`,
    causedText: (blocks, changes, cases) => `It passed ${blocks} blocks; since then there were ${changes} changes of colour${cases.length ? `, case ${cases.join(", ")}` : ""}. This is what the file says; it is not checked.`,
    square: "square", when: "when", from: "from", to: "to", why: "why",
    notProven: "What it proves, and what not",
    chainText: "A proof says that the operator said this at that moment, and has not changed it since. It does not say that it was measured well. One operator's own chain is no evidence against that operator; departments' witnesses and a consortium's chain are.",
  },
};

export function word(language, name, ...args) {
  if (name === "step") return stepName(language, args[0]);
  if (name === "detail") return detail(language, args[0]);
  if (name === "colour") return COLOURS[language][args[0]] ?? String(args[0] ?? "");
  const text = TEXTS[language][name];
  return typeof text === "function" ? text(...args) : text;
}
