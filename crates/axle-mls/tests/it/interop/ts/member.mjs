// Devices that ts-mls makes members of groups. Commands come on standard input and answers go to standard output, each a
// JSON object on one line; bytes are in base64. What Axle adds to RFC 9420 is written here once more, from its description
// (docs/mls.md), so that it is not only compared with itself.

import { createInterface } from "node:readline";
import * as mls from "ts-mls";
// Not among what the package exports.
import { signGroupInfo } from "./node_modules/ts-mls/dist/src/groupInfo.js";
import { ratchetTreeDecoder } from "./node_modules/ts-mls/dist/src/ratchetTree.js";

const WIRE = mls.wireformats;
const cipherSuite = await mls.getCiphersuiteImpl("MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519");
const context = { cipherSuite, authService: mls.unsafeTestingAuthenticationService };
const devices = new Map();

const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const text = (data) => Buffer.from(data).toString("base64").replace(/=+$/, "");
const join = (...parts) => new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(part))));

/** `opaque<V>` (RFC 9420, section 2.1.2). */
function vector(data) {
  const length = data.length;
  if (length < 0x40) return join([length], data);
  if (length < 0x4000) return join([0x40 | (length >> 8), length & 0xff], data);
  return join([0x80 | (length >>> 24), (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff], data);
}

/** The draft's BasicCredential: three vectors. */
const identity = (userId, deviceId, key) =>
  join(vector(Buffer.from(userId)), vector(Buffer.from(deviceId)), vector(key));

/** RoomBinding: the authenticated data of what is bound to the room. */
function roomBinding({ auth_events, member_event }) {
  const events = join(...[...auth_events].sort().map((id) => vector(Buffer.from(id))));
  const member = member_event === null ? [0] : join([1], bytes(member_event));
  return join([1], vector(events), member);
}

/** PartialGroupInfo: of a GroupInfo, the extensions and the signature. */
function partialGroupInfo({ extensions, signature }) {
  const extension = ({ extensionType: type, extensionData }) => join([type >> 8, type & 0xff], vector(extensionData));
  return join(vector(join(...extensions.map(extension))), vector(signature));
}

/** An MLSMessage around a structure, and the structure without it. */
const wrap = (wireformat, data) => mls.decode(mls.mlsMessageDecoder, join([0, 1, wireformat >> 8, wireformat & 0xff], data));
const bare = (message) => text(mls.encode(mls.mlsMessageEncoder, message).slice(4));

const tree = (data) => mls.decode(ratchetTreeDecoder, bytes(data));
const dataOf = ({ binding }) => (binding === null ? new Uint8Array() : roomBinding(binding));

/**
 * The GroupInfo of a state. What ts-mls itself makes has the key alone in the extension external_pub; RFC 9420 (section
 * 12.4.3.2) has a structure there, in which the key is a vector.
 */
async function groupInfoOf({ groupContext, confirmationTag, privatePath, keySchedule, signaturePrivateKey }) {
  const { publicKey } = await cipherSuite.hpke.deriveKeyPair(keySchedule.externalSecret);
  const extensionData = vector(await cipherSuite.hpke.exportPublicKey(publicKey));
  const extensions = [{ extensionType: mls.defaultExtensionTypes.external_pub, extensionData }];
  const unsigned = { groupContext, extensions, confirmationTag, signer: privatePath.leafIndex };
  return signGroupInfo(unsigned, signaturePrivateKey, cipherSuite.signature);
}

/** A GroupInfo in which ts-mls finds the key alone, and whose signature is good all the same. */
function withKeyAlone(groupInfo) {
  const extensions = [...groupInfo.extensions];
  extensions.find = (wanted) => {
    const found = groupInfo.extensions.find(wanted);
    const isKey = found?.extensionType === mls.defaultExtensionTypes.external_pub;
    return isKey ? { ...found, extensionData: found.extensionData.slice(1) } : found;
  };
  return { ...groupInfo, extensions };
}

/** What an event has of a commit that leads to `state`. */
async function content(message, state, { whole }) {
  const groupInfo = await groupInfoOf(state);
  const encoded = { version: mls.protocolVersions.mls10, wireformat: WIRE.mls_group_info, groupInfo };
  return { message: bare(message), public_group_state: whole ? bare(encoded) : text(partialGroupInfo(groupInfo)) };
}

async function keyPackage(device) {
  return mls.generateKeyPackageWithKey({
    credential: device.credential,
    capabilities: mls.defaultCapabilities(),
    lifetime: mls.defaultLifetime(),
    // Those that ts-mls would draw itself are not among the capabilities, as they have to be (RFC 9420, section 10).
    extensions: [],
    signatureKeyPair: device.keys,
    cipherSuite,
  });
}

/** The leaf that shows an identity. */
function leafOf(state, wanted) {
  const found = state.ratchetTree.findIndex(
    (node) => node?.nodeType === mls.nodeTypes.leaf && text(node.leaf.credential.identity) === wanted,
  );
  if (found < 0) throw new Error("the device is not in the group");
  return found / 2;
}

function proposal(state, { add, remove }) {
  if (add) {
    const { keyPackage } = wrap(WIRE.mls_key_package, bytes(add));
    return { proposalType: mls.defaultProposalTypes.add, add: { keyPackage } };
  }
  return { proposalType: mls.defaultProposalTypes.remove, remove: { removed: leafOf(state, remove) } };
}

/** The state with these proposals waiting, and no others. */
async function hear(state, proposals) {
  let heard = { ...state, unappliedProposals: {} };
  for (const data of proposals) {
    const { publicMessage } = wrap(WIRE.mls_public_message, bytes(data));
    heard = (await mls.processPublicMessage({ context, state: heard, publicMessage })).newState;
  }
  return heard;
}

const commands = {
  async device(_, { name, user_id, device_id }) {
    const keys = await cipherSuite.signature.keygen();
    const credential = {
      credentialType: mls.defaultCredentialTypes.basic,
      identity: identity(user_id, device_id, keys.publicKey),
    };
    devices.set(name, { keys, credential, packages: [], state: undefined, pending: undefined });
    return { identity: text(credential.identity) };
  },

  async key_package(device) {
    const made = await keyPackage(device);
    device.packages.push(made);
    return { key_package: text(mls.encode(mls.keyPackageEncoder, made.publicPackage)) };
  },

  async create(device, command) {
    const { publicPackage, privatePackage } = await keyPackage(device);
    const state = await mls.createGroup({
      context,
      groupId: Buffer.from(command.room_id),
      keyPackage: publicPackage,
      privateKeyPackage: privatePackage,
    });
    const made = await mls.createCommit({
      context,
      state,
      wireAsPublicMessage: true,
      authenticatedData: dataOf(command),
    });
    device.pending = made.newState;
    return content(made.commit, made.newState, { whole: true });
  },

  async join(device, { welcome, ratchet_tree }) {
    const read = wrap(WIRE.mls_welcome, bytes(welcome)).welcome;
    for (const { publicPackage, privatePackage } of device.packages) {
      const reference = text(await mls.makeKeyPackageRef(publicPackage, cipherSuite.hash));
      if (!read.secrets.some(({ newMember }) => text(newMember) === reference)) continue;
      device.state = await mls.joinGroup({
        context,
        welcome: read,
        keyPackage: publicPackage,
        privateKeys: privatePackage,
        ratchetTree: tree(ratchet_tree),
      });
      return {};
    }
    throw new Error("the Welcome is for somebody else");
  },

  async join_external(device, command) {
    const { publicPackage, privatePackage } = await keyPackage(device);
    const { groupInfo } = wrap(WIRE.mls_group_info, bytes(command.group_info));
    const { publicMessage, newState } = await mls.joinGroupExternal({
      context,
      groupInfo: withKeyAlone(groupInfo),
      keyPackage: publicPackage,
      privateKeys: privatePackage,
      resync: command.resync,
      tree: tree(command.ratchet_tree),
      authenticatedData: dataOf(command),
    });
    device.pending = newState;
    const message = { version: mls.protocolVersions.mls10, wireformat: WIRE.mls_public_message, publicMessage };
    return content(message, newState, command);
  },

  async propose(device, command) {
    const state = await hear(device.state, []);
    const made = await mls.createProposal({
      context,
      state,
      wireAsPublicMessage: true,
      proposal: proposal(state, command),
      authenticatedData: dataOf(command),
    });
    return { message: bare(made.message) };
  },

  async commit(device, command) {
    const state = await hear(device.state, command.queued);
    const made = await mls.createCommit({
      context,
      state,
      wireAsPublicMessage: true,
      extraProposals: command.proposals.map((wanted) => proposal(state, wanted)),
      authenticatedData: dataOf(command),
    });
    device.pending = made.newState;
    const welcome = made.welcome === undefined ? null : bare(made.welcome);
    return { ...(await content(made.commit, made.newState, command)), welcome };
  },

  async settle(device, { taken }) {
    if (taken) device.state = device.pending;
    device.pending = undefined;
    return {};
  },

  async process(device, { message, proposals }) {
    const state = await hear(device.state, proposals);
    const own = state.privatePath.leafIndex;
    let removed = false;
    // ts-mls fails where it is removed itself; who is removed need not follow any more.
    const callback = ({ kind, proposals }) => {
      const ends = ({ proposal: it }) => it.proposalType === mls.defaultProposalTypes.remove && it.remove.removed === own;
      removed = kind === "commit" && proposals.some(ends);
      return removed ? "reject" : "accept";
    };
    const { publicMessage } = wrap(WIRE.mls_public_message, bytes(message));
    const { newState } = await mls.processPublicMessage({ context, state, publicMessage, callback });
    device.state = removed ? undefined : newState;
    device.pending = undefined;
    return { removed };
  },

  async encrypt(device, { plaintext }) {
    const state = await hear(device.state, []);
    const made = await mls.createApplicationMessage({ context, state, message: bytes(plaintext) });
    device.state = made.newState;
    return { ciphertext: bare(made.message) };
  },

  async decrypt(device, { ciphertext }) {
    const { privateMessage } = wrap(WIRE.mls_private_message, bytes(ciphertext));
    const read = await mls.processPrivateMessage({ context, state: device.state, privateMessage });
    if (read.kind !== "applicationMessage") throw new Error("not an application message");
    device.state = read.newState;
    return { plaintext: text(read.message) };
  },

  async authenticator(device) {
    return { authenticator: text(device.state.keySchedule.epochAuthenticator) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = await commands[command.do](devices.get(command.name), command);
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
