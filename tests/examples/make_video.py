"""Make one video: `python make_video.py PROMPT FILE`, with a token in RUNCOMFY_TOKEN."""

import asyncio
import sys

from seedance_async import ProFastTextToVideo, Session


async def main(prompt: str, file: str) -> None:
    """Generate, download, and say what it cost."""
    async with Session() as session:
        video = await session.generate(ProFastTextToVideo(text=prompt))
        await session.download(video, file)
    print(f"{file}: {video.cost_usd} USD")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
