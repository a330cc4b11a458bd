using System;
using System.Buffers.Binary;
using System.Security.Cryptography;

namespace MinimalRuntime.Cryptography;

/// <summary>AES in C#: CBC with PKCS #7 padding (NIST SP 800-38A), GCM (SP 800-38D).</summary>
/// <remarks>
/// For data that comes from elsewhere or goes there. Its time depends on keys and data, so it is not
/// for keys that somebody could learn by measuring the guest.
/// </remarks>
public static class ManagedAes
{
    private const int BlockSize = AesBlocks.Size;
    private const int NonceSize = 12;
    private const int TagSize = 16;

    /// <summary>Encrypt with CBC and PKCS #7 padding.</summary>
    public static byte[] EncryptCbc(ReadOnlySpan<byte> key, ReadOnlySpan<byte> iv, ReadOnlySpan<byte> plaintext)
    {
        var blocks = new AesBlocks(key);
        CheckSize(iv, BlockSize, nameof(iv));
        var padding = BlockSize - (plaintext.Length % BlockSize);
        var result = new byte[plaintext.Length + padding];
        plaintext.CopyTo(result);
        result.AsSpan(plaintext.Length).Fill((byte)padding);
        var before = iv;
        for (var start = 0; start < result.Length; start += BlockSize)
        {
            var block = result.AsSpan(start, BlockSize);
            Add(block, before);
            blocks.Encrypt(block);
            before = block;
        }

        return result;
    }

    /// <summary>Decrypt what CBC with PKCS #7 padding encrypted.</summary>
    /// <exception cref="CryptographicException">Its size or its padding is wrong.</exception>
    public static byte[] DecryptCbc(ReadOnlySpan<byte> key, ReadOnlySpan<byte> iv, ReadOnlySpan<byte> ciphertext)
    {
        var blocks = new AesBlocks(key);
        CheckSize(iv, BlockSize, nameof(iv));
        if (ciphertext.IsEmpty || ciphertext.Length % BlockSize != 0)
        {
            throw new CryptographicException("The ciphertext is not a number of whole blocks.");
        }

        var result = ciphertext.ToArray();
        for (var start = 0; start < result.Length; start += BlockSize)
        {
            var block = result.AsSpan(start, BlockSize);
            blocks.Decrypt(block);
            Add(block, start == 0 ? iv : ciphertext.Slice(start - BlockSize, BlockSize));
        }

        var padding = result[^1];
        if (padding is 0 or > BlockSize || result.AsSpan(result.Length - padding).ContainsAnyExcept(padding))
        {
            throw new CryptographicException("Padding is invalid and cannot be removed.");
        }

        return result[..^padding];
    }

    /// <summary>Encrypt with GCM: the ciphertext and, behind it, the tag of 16 bytes.</summary>
    /// <param name="nonce">12 bytes, never twice with one key.</param>
    public static byte[] EncryptGcm(
        ReadOnlySpan<byte> key, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> plaintext, ReadOnlySpan<byte> associatedData = default)
    {
        CheckSize(nonce, NonceSize, nameof(nonce));
        var blocks = new AesBlocks(key);
        var result = new byte[plaintext.Length + TagSize];
        plaintext.CopyTo(result);
        var ciphertext = result.AsSpan(0, plaintext.Length);
        Count(blocks, nonce, ciphertext);
        Tag(blocks, nonce, ciphertext, associatedData).CopyTo(result.AsSpan(plaintext.Length));
        return result;
    }

    /// <summary>Decrypt what <see cref="EncryptGcm"/> gave.</summary>
    /// <exception cref="CryptographicException">Key, nonce, data or tag are not what they were.</exception>
    public static byte[] DecryptGcm(
        ReadOnlySpan<byte> key, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> ciphertextAndTag, ReadOnlySpan<byte> associatedData = default)
    {
        CheckSize(nonce, NonceSize, nameof(nonce));
        var blocks = new AesBlocks(key);
        if (ciphertextAndTag.Length < TagSize)
        {
            throw new CryptographicException("There is no tag of 16 bytes at the end.");
        }

        var ciphertext = ciphertextAndTag[..^TagSize];
        var tag = Tag(blocks, nonce, ciphertext, associatedData);
        if (!CryptographicOperations.FixedTimeEquals(tag, ciphertextAndTag[^TagSize..]))
        {
            throw new CryptographicException("The tag does not fit: the data was changed, or the key is another.");
        }

        var result = ciphertext.ToArray();
        Count(blocks, nonce, result);
        return result;
    }

    // SP 800-38D, 6.5: GCTR, from the second counter on.
    private static void Count(AesBlocks blocks, ReadOnlySpan<byte> nonce, Span<byte> data)
    {
        Span<byte> stream = stackalloc byte[BlockSize];
        var counter = 2u;
        for (var rest = data; !rest.IsEmpty; rest = rest[Math.Min(BlockSize, rest.Length)..])
        {
            KeyStream(blocks, nonce, counter++, stream);
            Add(rest[..Math.Min(BlockSize, rest.Length)], stream);
        }
    }

    private static void KeyStream(AesBlocks blocks, ReadOnlySpan<byte> nonce, uint counter, Span<byte> stream)
    {
        nonce.CopyTo(stream);
        BinaryPrimitives.WriteUInt32BigEndian(stream[NonceSize..], counter);
        blocks.Encrypt(stream);
    }

    private static byte[] Tag(
        AesBlocks blocks, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> ciphertext, ReadOnlySpan<byte> associatedData)
    {
        var hash = new GaloisHash(blocks);
        hash.Add(associatedData);
        hash.Add(ciphertext);
        Span<byte> lengths = stackalloc byte[BlockSize];
        BinaryPrimitives.WriteUInt64BigEndian(lengths, (ulong)associatedData.Length * 8);
        BinaryPrimitives.WriteUInt64BigEndian(lengths[8..], (ulong)ciphertext.Length * 8);
        hash.Add(lengths);
        var tag = hash.ToArray();
        Span<byte> stream = stackalloc byte[BlockSize];
        KeyStream(blocks, nonce, 1, stream);
        Add(tag, stream);
        return tag;
    }

    private static void Add(Span<byte> to, ReadOnlySpan<byte> what)
    {
        for (var i = 0; i < to.Length; i++)
        {
            to[i] ^= what[i];
        }
    }

    private static void CheckSize(ReadOnlySpan<byte> given, int size, string name)
    {
        if (given.Length != size)
        {
            throw new ArgumentException($"{name} has {size} bytes, not {given.Length}.", name);
        }
    }
}
