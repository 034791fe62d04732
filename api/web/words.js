// What does the page say? Every text in Chinese and English, and how numbers and moments are written.

import { ROAD_TEXTS } from "./roadwords.js";
import { SCAN_TEXTS } from "./scanwords.js";

const TEXTS = {
  zh: {
    product: "路面健康码",
    skip: "跳到说明面板",
    search: "搜索方格",
    searchHint: "方格编号、名称，或 经度,纬度",
    searchNone: "没有找到。请输入方格编号（如 4538783999459390）、名称（如 51R 228345 3354678）或经度,纬度（如 120.1655,30.2790）。",
    summary: "全城概况",
    legend: "图例与筛选",
    cases: "案件",
    notLegal: "这不是法定检测，也尚未在任何城市正式运行；它只说车轮和摄像头感受到了什么。",
    banner: "数据为模拟和回放，不代表任何真实道路的现状",
    bannerSimulated: "数据为模拟，不代表任何真实道路的现状",
    bannerReplay: "数据为录制回放，不代表道路的现状",
    paletteName: "色盲配色",
    languageName: "English",
    languageLabel: "Switch to English",
    live: "实时",
    wait: "连接中…",
    down: "已断开",
    stale: (when) => `连接已断开：地图可能不是最新的（最后更新 ${when}）。正在自动重连。`,
    back: "恢复连接，已刷新。",
    closer: "请放大，以查看方格",
    aimHint: "按回车键查看十字处的方格",
    mapLabel: "地图：用方向键移动，用加减号缩放，按回车键打开中央的方格",
    noWebgl: "这个浏览器不能画地图（没有 WebGL）。右侧的概况、案件和搜索仍可使用。",
    tileFailed: "部分图块暂时取不到，稍后自动再试。",
    loading: "读取中…",
    retry: "重试",
    failed: "取不到数据",
    unreachable: "服务器没有回应。",
    not_json: "服务器的回答读不懂。",
    nothingYet: "还没有测到任何路面。第一辆车开过后，方格会出现在这里。",
    share: (percent) => `其中 ${percent} 为灰色（未知）`,
    records: "存证记录",
    anchors: "上链锚定",
    anchoredAt: "最近锚定",
    notAnchored: "尚未",
    chunks: "数据包",
    refused: "被拒",
    caseCount: "案件",
    colour: { grey: "灰：未知", green: "绿：健康", yellow: "黄：一般缺陷", red: "红：严重缺陷" },
    about: {
      grey: "未知，绝不等于“健康”：没有车轮或摄像头看清过这里。",
      green: "已充分查找的类型，均未发现。没查的不算。",
      yellow: "有缺陷，程度较轻。黄与红按严重程度分，不按把握大小分。",
      red: "缺陷严重。实色或斜纹表示把握大小。",
    },
    suspectedMark: "斜纹：疑似（仅一类证据）",
    confirmedMark: "实色：已确认（多方证据一致）",
    coarseMark: "浅色大格：手机定位较粗（4 或 16 米），按日公布，当天须有足够多部手机",
    caseMark: "案件",
    show: (name, area) => `显示${name}，${area}`,
    state: { suspected: "疑似", confirmed: "已确认", none: "" },
    caseState: { open: "待处理", confirmed: "已确认", assigned: "已派发", repaired: "已修复", closed: "已结案", suspected: "疑似" },
    casesInView: (n, all) => `当前画面 ${n} 件，共 ${all} 件`,
    casesNone: "目前没有案件。相邻的已确认方格会形成案件。",
    casesNotHere: "当前画面内没有案件；缩小或移动地图查看其他案件。",
    more: (n) => `还有 ${n} 件，放大地图查看`,
    cells: (n) => `${n} 格`,
    opened: "开立",
    close: "关闭",
    storyTitle: "方格",
    side: (n) => `${n} × ${n} 米`,
    number: "编号",
    coarse: (n) => `方格宽 ${n} 米，缺陷在其中某处，并非精确到米。为保护市民：只按日公布，当天须有足够多部手机感受到，且该日不再变化之后才公布。`,
    daySum: (passes, devices) => `约 ${passes} 次，至少 ${devices} 部设备`,
    why: "为什么是这个颜色",
    because: {
      red: (kind, state) => `这里有${state}的严重缺陷：${kind}。`,
      yellow: (kind, state) => `这里有${state}的一般缺陷：${kind}。`,
      green: (n, of) => `${of} 类缺陷中，已充分查找 ${n} 类，均未发现。`,
      grey: () => "未知：这里的证据还不足以下结论。灰色不是“健康”。",
    },
    suspectedWhy: "只有一类证据，尚未得到其他来源印证。",
    confirmedWhy: "互相独立的证据一致（摄像头、巡查员，或三台以上设备）。",
    greenOf: (n, of) => `${of} 类中查了 ${n} 类`,
    seen: "已查找",
    notSeen: "未查（不知道）",
    passes: (n) => `${n} 次经过`,
    evidence: "每次经过的证据",
    evidenceNone: "没有可以列出的逐次证据。",
    evidenceAll: (n) => `列出全部 ${n} 次`,
    at: "时间",
    sensor: "来源",
    felt: "感受",
    speed: "车速",
    sigma: "位置误差",
    weight: "权重",
    weightHint: "对数几率：正数支持有缺陷，负数支持没有",
    sensors: { box: "车载盒", phone: "手机" },
    what: { quiet: "平稳", jolt: "颠簸", camera: "摄像头" },
    isDefect: (p) => `是缺陷的可能：${p}`,
    ifSo: (name, p) => `若是：可能为${name}（${p}）`,
    aboutMm: (mm) => `约 ${mm} 毫米`,
    subtype: { settlement: "沉降", trench: "沟槽沉陷", collapse: "塌陷", failed_patch: "修补失效", low: "偏低", high: "偏高", missing: "缺失", broken: "破损", displaced: "移位", noisy: "异响", sunken: "下沉", raised: "凸起" },
    history: "健康码变化",
    historyNone: "还没有变化记录。",
    none: "无",
    caseTitle: "所属案件",
    caseOf: (id, state) => `案件 ${id}（${state}）`,
    origin: "数据来源",
    origins: { simulated: "模拟", replay: "回放", live: "实时" },
    proof: "证明",
    proofStatus: { broken: "不成立", anchored: "已锚定上链", pending: "等待锚定或见证", none: "没有存证记录" },
    proofNone: "未知的方格没有要证明的结论。",
    auditLink: "在浏览器里逐步核对这份证明",
    step: { "own record": "本格记录", leaf: "叶哈希", signature: "日志签名", record: "记录", log: "日志", checkpoint: "检查点", anchor: "上链锚定", code: "健康码", block: "区块日记录", inclusion: "日志收录", witnesses: "见证方" },
    stepState: { true: "成立", false: "不成立", null: "等待中", off: "未要求" },
    chainProves: "它能证明：锚定之后，这条记录没有被悄悄改过——任何留有早先检查点的人都能核对。",
    chainDoesNot: "它不能证明：观测本身正确，或运营方没有作假。",
    trustChain: {
      embedded: "内置链只有一个运营方，运营方可以把它整条重做；一个运营方自己的链，查不出这个运营方自己作假。",
      outside: "这条链在本系统之外运行：有多少独立的机构在运行它，它就能在多大程度上查出本运营方作假（联盟链可以，一家公司的链不行）。",
      none: "没有询问任何链。",
    },
    trustWitnesses: {
      none: "没有指定见证方：日志的历史只有运营方一家作证，它可以给别人看另一份历史。",
      waiting: "签名的见证方还不够；在够数之前，只有运营方一家作证。",
      enough: "足够多的见证方已为这份历史签名；另一份历史要凑够签名，必须有已签名的见证方自相矛盾。这也能查出运营方作假。",
      broken: "以见证方名义的签名不成立。",
    },
    recordRaw: "记录原文",
    nowhere: "这里没有测过",
    nowhereText: "没有任何车辆的证据落在这一格附近。没有数据不等于健康。",
    opensAt: (name) => `已打开方格 ${name}`,
    found: (colour) => `颜色：${colour}`,
    panelMore: "展开面板",
    panelLess: "收起面板",
    updated: "地图已更新",
  },
  en: {
    product: "Road health code",
    skip: "Skip to the panel",
    search: "Search for a square",
    searchHint: "Square number, name, or lon,lat",
    searchNone: "Nothing found. Enter a square's number (4538783999459390), its name (51R 228345 3354678) or lon,lat (120.1655,30.2790).",
    summary: "The city",
    legend: "Legend and filter",
    cases: "Cases",
    notLegal: "Not a legal inspection, and not yet run in a city: this says what wheels and cameras felt, nothing more.",
    banner: "not the state of any real road today",
    bannerSimulated: "not the state of any real road today",
    bannerReplay: "recorded earlier, not the state of a road today",
    paletteName: "Colour-blind safe",
    languageName: "中文",
    languageLabel: "切换到中文",
    live: "live",
    wait: "connecting…",
    down: "connection lost",
    stale: (when) => `Connection lost: the map may be out of date (last heard ${when}). Trying again by itself.`,
    back: "Connected again, refreshed.",
    closer: "Zoom in to see the squares",
    aimHint: "Press Enter for the square under the cross",
    mapLabel: "Map: arrow keys move, plus and minus zoom, Enter opens the square in the middle",
    noWebgl: "This browser cannot draw the map (no WebGL). Summary, cases and search still work.",
    tileFailed: "Some of the map could not be read; it will be tried again.",
    loading: "Reading…",
    retry: "Try again",
    failed: "This could not be read",
    unreachable: "The server does not answer.",
    not_json: "The server's answer cannot be understood.",
    nothingYet: "No road has been measured yet. Squares appear here once the first vehicle has passed.",
    share: (percent) => `${percent} of it grey: not known`,
    records: "records",
    anchors: "anchors",
    anchoredAt: "last anchored",
    notAnchored: "not yet",
    chunks: "chunks",
    refused: "refused",
    caseCount: "cases",
    colour: { grey: "Grey: not known", green: "Green: healthy", yellow: "Yellow: a mild defect", red: "Red: a severe defect" },
    about: {
      grey: "Not known, and never “healthy”: no wheel or camera has seen enough of it.",
      green: "None found of the types that were looked for. Others are not included.",
      yellow: "A defect of lesser severity. Yellow and red differ by severity, not by doubt.",
      red: "A defect of high severity. Solid or hatched says how sure.",
    },
    suspectedMark: "Hatched: suspected, by one kind of witness",
    confirmedMark: "Solid: confirmed, independent witnesses agree",
    coarseMark: "Pale and large: phones' squares of 4 or 16 m, by day, from enough different phones",
    caseMark: "Case",
    show: (name, area) => `Show ${name}, ${area}`,
    state: { suspected: "suspected", confirmed: "confirmed", none: "" },
    caseState: {},
    casesInView: (n, all) => `${n} of ${all} in view`,
    casesNone: "No cases. Neighbouring confirmed squares open one.",
    casesNotHere: "No case in view; zoom out or move the map for others.",
    more: (n) => `${n} more: zoom in to see them`,
    cells: (n) => (n === 1 ? "1 square" : `${n} squares`),
    opened: "opened",
    close: "Close",
    storyTitle: "Square",
    side: (n) => `${n} × ${n} m`,
    number: "Number",
    coarse: (n) => `The square is ${n} m wide and the defect somewhere in it, not precise to the metre. To protect citizens it is told by day, only where enough different phones felt something on that day, and once that day can no longer change.`,
    daySum: (passes, devices) => `about ${passes} passes, ${devices} or more devices`,
    why: "Why this colour",
    because: {
      red: (kind, state) => `A severe defect is ${state} here: ${kind}.`,
      yellow: (kind, state) => `A mild defect is ${state} here: ${kind}.`,
      green: (n, of) => `Green for ${n} of ${of} defect types: they were looked for thoroughly and not found.`,
      grey: () => "Not known: the evidence here does not carry a conclusion. Grey is not “healthy”.",
    },
    suspectedWhy: "One kind of witness only; nothing independent has agreed yet.",
    confirmedWhy: "Independent witnesses agree (a camera, an inspector, or three or more devices).",
    greenOf: (n, of) => `looked for ${n} of ${of}`,
    seen: "Looked for",
    notSeen: "Not looked for (not known)",
    passes: (n) => (n === 1 ? "1 pass" : `${n} passes`),
    evidence: "Evidence by pass",
    evidenceNone: "There is no evidence by pass to list.",
    evidenceAll: (n) => `List all ${n}`,
    at: "Time",
    sensor: "Sensor",
    felt: "Felt",
    speed: "Speed",
    sigma: "Position",
    weight: "Weight",
    weightHint: "Log-odds: above zero speaks for a defect, below zero against",
    sensors: { box: "box", phone: "phone" },
    what: { quiet: "quiet", jolt: "jolt", camera: "camera" },
    isDefect: (p) => `a defect: ${p}`,
    ifSo: (name, p) => `if so: probably ${name} (${p})`,
    aboutMm: (mm) => `about ${mm} mm`,
    subtype: { settlement: "settlement", trench: "trench", collapse: "collapse", failed_patch: "failed patch", low: "low", high: "high", missing: "missing", broken: "broken", displaced: "displaced", noisy: "noisy", sunken: "sunken", raised: "raised" },
    history: "History of the code",
    historyNone: "No change recorded yet.",
    none: "none",
    caseTitle: "Case",
    caseOf: (id, state) => `Case ${id} (${state})`,
    origin: "Origin of the data",
    origins: {},
    proof: "Proof",
    proofStatus: { broken: "Does not hold", anchored: "Anchored on the chain", pending: "Waiting for an anchor or for witnesses", none: "No record" },
    proofNone: "An unknown square makes no claim that would need a proof.",
    auditLink: "Check this proof yourself, step by step",
    step: { "own record": "Own record", leaf: "Leaf hash", signature: "Signature of the log", record: "Record", log: "Log", checkpoint: "Checkpoint", anchor: "Anchor", code: "Code", block: "Block-day record", inclusion: "Inclusion in the log", witnesses: "Witnesses" },
    stepState: { true: "holds", false: "does not hold", null: "pending", off: "not asked for" },
    chainProves: "What it proves: this record was not quietly changed after it was anchored, to anyone who kept an earlier checkpoint.",
    chainDoesNot: "What it does not: that the observation is right, or that the operator was honest.",
    trustChain: {
      embedded: "The built-in chain has one operator, who can make it anew: one operator's chain is not evidence against that operator.",
      outside: "The chain is run outside this instance: it is evidence against this operator as far as others run it. A consortium's chain is, one company's is not.",
      none: "No chain was asked.",
    },
    trustWitnesses: {
      none: "No witnesses are named: the operator alone stands for the log's history, and could show others another one.",
      waiting: "Too few of the named witnesses have signed yet; until they do, the operator alone stands for it.",
      enough: "Enough of the named witnesses signed this history. Another one could get as many signatures only if some who signed this one contradict themselves: that is evidence against the operator too.",
      broken: "What stands there in the name of a witness does not hold.",
    },
    recordRaw: "The record as it stands",
    nowhere: "Nothing measured here",
    nowhereText: "No vehicle's evidence lies near this place. No data is not the same as healthy.",
    opensAt: (name) => `Opened square ${name}`,
    found: (colour) => `Colour: ${colour}`,
    panelMore: "Open the panel",
    panelLess: "Close the panel",
    updated: "The map was updated",
  },
};

export const KINDS = {
  uneven: ["不平（类型未明）", "uneven, type not known"],
  linear_crack: ["线裂", "linear crack"],
  net_crack: ["网裂", "net crack"],
  alligator_crack: ["龟裂", "alligator crack"],
  shoving: ["拥包", "shoving"],
  rutting: ["车辙", "rutting"],
  subsidence: ["沉陷", "subsidence"],
  mud_boil: ["翻浆", "mud boil"],
  ravelling: ["剥落", "ravelling"],
  pothole: ["坑槽", "pothole"],
  edge_break: ["啃边", "edge break"],
  frame_level: ["路框差", "frame level difference"],
  pumping: ["唧浆", "pumping"],
  bleeding: ["泛油", "bleeding"],
  faulting: ["错台", "faulting"],
  broken_slab: ["破碎板", "broken slab"],
  defective_cover: ["缺陷井盖", "defective cover"],
  ponding: ["路面积水", "ponding"],
  litter: ["路面垃圾", "litter"],
};

// What a wheel can tell apart, where it cannot tell types.
const CLASSES = {
  hole: ["坑洞类", "a hole"],
  ridge: ["凸起类", "a ridge"],
  step: ["台阶类", "a step"],
  dip: ["凹陷类", "a dip"],
  rattle: ["井盖异响", "a loose cover"],
  rough: ["路面粗糙", "rough surface"],
};

for (const more of [ROAD_TEXTS, SCAN_TEXTS]) for (const [spoken, texts] of Object.entries(more)) Object.assign(TEXTS[spoken], texts);

let language = "en";

export function setLanguage(wanted) {
  language = wanted === "zh" ? "zh" : "en";
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = language === "zh" ? "路面健康码" : "Road health code";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = TEXTS[language][node.dataset.t];
}

export const currentLanguage = () => language;

/** The text `name`, or entry `key` of a list of texts; a key nobody translated is shown as it came. */
export function t(name, key) {
  const text = TEXTS[language][name];
  if (key === undefined) return text;
  return text?.[key] ?? String(key ?? "");
}

export function kindName(kind) {
  if (!kind) return t("none");
  const key = typeof kind === "string" ? kind : kind.key;
  const own = typeof kind === "object" ? kind[language] : null;
  return own ?? (KINDS[key] ?? CLASSES[key])?.[language === "zh" ? 0 : 1] ?? String(key);
}

const locale = () => (language === "zh" ? "zh-CN" : "en-GB");

export const number = (value, digits = 0) =>
  new Intl.NumberFormat(locale(), { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);

export const area = (m2) => (m2 >= 1e6 ? `${number(m2 / 1e6, 2)} km²` : `${number(m2)} m²`);

export const percent = (share) => {
  const value = share * 100;
  // 99.97 % grey rounded to 100 % would hide that something is known.
  return `${number(value, value > 99 || value < 1 ? 1 : 0)}%`;
};

function written(iso, parts) {
  const at = iso ? new Date(iso) : null;
  if (!at || Number.isNaN(at.getTime())) return "—";
  return new Intl.DateTimeFormat(locale(), { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false, ...parts }).format(at);
}

export const moment = (iso) => written(iso, { second: "2-digit" });
export const minute = (iso) => written(iso, {});

/** A day as in 2026-11-25; what is none is shown as it came. */
export function dayText(day) {
  const at = new Date(`${day}T00:00:00Z`);
  return Number.isNaN(at.getTime()) ? String(day ?? "—") : new Intl.DateTimeFormat(locale(), { year: "numeric", month: "short", day: "numeric", timeZone: "UTC" }).format(at);
}
