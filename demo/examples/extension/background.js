// The toolbar's button opens the side panel; the model runs in the panel, as long as that is open.

chrome.sidePanel.setPanelBehavior({ openPanelOnActionClick: true });
