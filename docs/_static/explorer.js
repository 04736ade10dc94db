// Fills the frame of an explorer when it comes into view: until then its page is not loaded.
"use strict";

for (const frame of document.querySelectorAll(".explorer iframe[data-src]")) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    if (!frame.src) frame.src = frame.dataset.src;
  });
  observer.observe(frame);
}
