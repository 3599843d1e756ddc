// Starts Hydrogen on the whole page, as its own index.html does.

import { FeatureSet, Platform, RootViewModel, createNavigation, createRouter } from "hydrogen-view-sdk";
import downloadSandbox from "hydrogen-view-sdk/download-sandbox.html?url";
import worker from "hydrogen-view-sdk/main.js?url";
import wasm from "@matrix-org/olm/olm.wasm?url";
import wasmBundle from "@matrix-org/olm/olm.js?url";
import legacyBundle from "@matrix-org/olm/olm_legacy.js?url";
import "hydrogen-view-sdk/theme-element-light.css";

const platform = new Platform({
    container: document.body,
    assetPaths: { downloadSandbox, worker, olm: { wasm, wasmBundle, legacyBundle }, serviceWorker: "sw.js" },
    configURL: "config.json",
});
await platform.init();
const navigation = createNavigation();
platform.setNavigation(navigation);
const urlRouter = createRouter({ navigation, history: platform.history });
urlRouter.attach();
const features = await FeatureSet.load(platform.settingsStorage);
const app = new RootViewModel({ platform, urlRouter, navigation, features });
await app.load();
platform.createAndMountRootView(app);
